// Package aws has the tests of the platform on AWS, from end to end: whole deployments on DynamoDB, SQS, KMS, Secrets Manager and S3 with
// the functions' own binaries, called as clients call them, and read as whoever had an account's credentials could.
//
// They need an emulator of AWS at AWS_ENDPOINT_URL (infra/local/localstack.sh starts one) and have the build tag aws:
//
//	AWS_ENDPOINT_URL=http://127.0.0.1:4566 AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test go test -tags aws ./test/aws
//
// Each test makes deployments of its own, under names that nothing else has, and removes them.
package aws
