package edge

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/domicile-api/domicile/internal/directory"
	"github.com/domicile-api/domicile/internal/store/dynamostore"
	"github.com/domicile-api/domicile/internal/store/s3snapshot"
)

// cloud is the function's way to AWS. It is made of the environment alone, which is all that a function has: the SDK's search for
// credentials elsewhere would cost a third of the binary and of the start.
type cloud struct{ aws aws.Config }

func newCloud(cfg Config) cloud {
	c := aws.Config{
		Region: string(cfg.Region),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: cfg.accessKey, SecretAccessKey: cfg.secretKey, SessionToken: cfg.session, Source: "environment"}, nil
		}),
	}
	if cfg.endpoint != "" {
		c.BaseEndpoint = &cfg.endpoint
	}
	return cloud{c}
}

func (c cloud) secret(ctx context.Context, name string) ([]byte, error) {
	out, err := secretsmanager.NewFromConfig(c.aws).GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &name})
	if err != nil {
		return nil, fmt.Errorf("reading the secret %s: %w", name, err)
	}
	return []byte(aws.ToString(out.SecretString)), nil
}

// resolver finds tenants in the directory.
func (h *Handler) resolver() (*directory.ReadThrough, error) {
	table, err := dynamostore.NewDirectory(dynamostore.DirectoryConfig{Config: dynamostore.Config{
		Table: h.names.Table("directory"), Client: dynamodb.NewFromConfig(h.cloud.aws), Logger: h.logger,
	}})
	if err != nil {
		return nil, fmt.Errorf("reaching the directory: %w", err)
	}
	copied, err := h.lastGoodCopy()
	if err != nil {
		return nil, err
	}
	return directory.NewReadThrough(directory.ReadThroughConfig{
		Table: table, Topology: h.topology, HostSuffixes: []string{"localhost"}, Copy: copied, Clock: time.Now, Logger: h.logger,
	}), nil
}

// lastGoodCopy is what tenants are found in while the table is away; nil: nothing is.
func (h *Handler) lastGoodCopy() (directory.Copy, error) {
	if h.cfg.Snapshots == "" {
		return nil, nil //nolint:nilnil // a function without a copy is allowed
	}
	client := s3snapshot.NewGetter(h.cloud.aws)
	copied, err := s3snapshot.New(s3snapshot.Config{Client: client, Bucket: h.cfg.Snapshots})
	if err != nil {
		return nil, fmt.Errorf("reaching the copy of the directory: %w", err)
	}
	return copied, nil
}
