package domicile

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/jsii-runtime-go"

	"github.com/domicile-api/domicile/infra/access"
)

// snapshotDays is how long a snapshot that was replaced is kept.
const snapshotDays = 30

// newBucket makes the bucket with the directory's snapshots, from which an edge starts while the table is away.
func newBucket(stack awscdk.Stack, d *Deployment, r Region, storage awskms.CfnKey) {
	bucket := awss3.NewCfnBucket(stack, jsii.String("Snapshots"), &awss3.CfnBucketProps{
		BucketName: jsii.String(d.bucketName(r)),
		BucketEncryption: map[string]any{"serverSideEncryptionConfiguration": []any{map[string]any{
			"bucketKeyEnabled":              true,
			"serverSideEncryptionByDefault": map[string]any{"sseAlgorithm": "aws:kms", "kmsMasterKeyId": storage.AttrArn()},
		}}},
		OwnershipControls: map[string]any{"rules": []any{map[string]any{"objectOwnership": "BucketOwnerEnforced"}}},
		PublicAccessBlockConfiguration: map[string]any{
			"blockPublicAcls": true, "blockPublicPolicy": true, "ignorePublicAcls": true, "restrictPublicBuckets": true,
		},
		VersioningConfiguration: map[string]any{"status": "Enabled"},
		LifecycleConfiguration: map[string]any{"rules": []any{map[string]any{
			"id": "replaced", "status": "Enabled",
			"noncurrentVersionExpiration":    map[string]any{"noncurrentDays": snapshotDays},
			"abortIncompleteMultipartUpload": map[string]any{"daysAfterInitiation": 1},
		}}},
	})
	d.keep(bucket)
	exempt(
		bucket,
		exemption{"CKV_AWS_18", "server access logs hold callers' addresses, which are personal data; CloudTrail has who read what"},
	)
	awss3.NewCfnBucketPolicy(stack, jsii.String("SnapshotsPolicy"), &awss3.CfnBucketPolicyProps{
		Bucket: bucket.Ref(),
		PolicyDocument: document(access.PolicyOf(access.Statement{
			Sid: "DenyInsecureTransport", Effect: "Deny", Principal: map[string]any{"AWS": "*"},
			Action:    []string{"s3:DeleteObject", "s3:DeleteObjectVersion", "s3:GetObject", "s3:GetObjectVersion", "s3:ListBucket", "s3:PutObject"},
			Resource:  []string{"arn:aws:s3:::" + d.bucketName(r), "arn:aws:s3:::" + d.bucketName(r) + "/*"},
			Condition: map[string]map[string][]string{"Bool": {"aws:SecureTransport": {"false"}}},
		})),
	})
}
