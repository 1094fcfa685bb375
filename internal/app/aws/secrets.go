package aws

import (
	"context"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// minSecret is how many characters a secret has at the least: 32 of 62 kinds are 190 bits.
const minSecret = 32

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
	secret := aws.ToString(out.SecretString)
	if len(secret) < minSecret {
		return nil, fmt.Errorf("the secret %s has %d characters, at least %d are needed", name, len(secret), minSecret)
	}
	return []byte(secret), nil
}

// seed derives the seed of an Ed25519 key from a secret (HKDF-SHA256, RFC 5869), so that all processes of the region that may read the
// secret have the same key.
func seed(secret []byte, purpose string) ([]byte, error) {
	key, err := hkdf.Key(sha256.New, secret, nil, "domicile "+purpose+" v1", ed25519.SeedSize)
	if err != nil {
		return nil, fmt.Errorf("deriving the %s: %w", purpose, err)
	}
	return key, nil
}

// account is the id of the account that the process runs in.
func (o *opener) account(ctx context.Context) (string, error) {
	out, err := sts.NewFromConfig(o.aws).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return "", fmt.Errorf("asking AWS who this process is; are there credentials?: %w", err)
	}
	return aws.ToString(out.Account), nil
}
