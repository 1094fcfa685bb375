//go:build aws

package aws_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

// cloud are clients of one AWS region.
type cloud struct {
	aws     aws.Config
	dynamo  *dynamodb.Client
	streams *dynamodbstreams.Client
	sqs     *sqs.Client
	kms     *kms.Client
	secrets *secretsmanager.Client
	s3      *s3.Client
}

// in returns clients of a region, at AWS_ENDPOINT_URL.
func in(t testing.TB, region string) cloud {
	t.Helper()
	cfg, err := config.LoadDefaultConfig(t.Context(), config.WithRegion(region), config.WithRetryMaxAttempts(8))
	if err != nil {
		t.Fatalf("reading the AWS configuration: %v", err)
	}
	return cloud{
		aws: cfg, dynamo: dynamodb.NewFromConfig(cfg), streams: dynamodbstreams.NewFromConfig(cfg), sqs: sqs.NewFromConfig(cfg),
		kms: kms.NewFromConfig(cfg), secrets: secretsmanager.NewFromConfig(cfg),
		s3: s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = true }),
	}
}
