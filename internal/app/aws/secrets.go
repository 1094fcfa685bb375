package aws

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// secret reads a secret of the region. The infrastructure makes it of random characters and nobody else knows it.
func (o *opener) secret(ctx context.Context, name string) ([]byte, error) {
	out, err := secretsmanager.NewFromConfig(o.aws).GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &name})
	var missing *types.ResourceNotFoundException
	switch {
	case errors.As(err, &missing):
		return nil, fmt.Errorf("there is no secret %s in %s; deploy the region's infrastructure first", name, o.opening.Region)
	case err != nil:
		return nil, fmt.Errorf("reading the secret %s: %w", name, err)
	}
	return []byte(aws.ToString(out.SecretString)), nil
}

// snapshots is the bucket of the copy of the directory, whose name has the account that the process runs in.
func (o *opener) snapshots(ctx context.Context) (string, error) {
	if o.bucket != "" {
		return o.bucket, nil
	}
	out, err := sts.NewFromConfig(o.aws).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return "", fmt.Errorf("asking AWS who this process is; are there credentials?: %w", err)
	}
	return o.names.Snapshots(aws.ToString(out.Account), o.opening.Region), nil
}
