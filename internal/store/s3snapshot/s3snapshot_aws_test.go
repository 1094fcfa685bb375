//go:build aws

package s3snapshot_test

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/domicile-api/domicile/internal/directory"
	"github.com/domicile-api/domicile/internal/store/s3snapshot"
)

const region = "eu-central-1"

// newBucket makes a bucket that encrypts with a key of its own, as the infrastructure does, and removes it when the test ends.
func newBucket(t *testing.T) (client *s3.Client, bucket, key string) {
	t.Helper()
	if os.Getenv("AWS_ENDPOINT_URL") == "" {
		t.Fatal("AWS_ENDPOINT_URL is not set: start LocalStack with infra/local/localstack.sh and set it to http://127.0.0.1:4566")
	}
	cfg, err := config.LoadDefaultConfig(t.Context(), config.WithRegion(region))
	if err != nil {
		t.Fatal(err)
	}
	keys := kms.NewFromConfig(cfg)
	made, err := keys.CreateKey(t.Context(), &kms.CreateKeyInput{})
	if err != nil {
		t.Fatalf("making a key: %v", err)
	}
	client = s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = true })
	bucket, key = "domicile-test-snapshots-"+strings.ToLower(rand.Text()[:12]), *made.KeyMetadata.Arn
	if _, err := client.CreateBucket(t.Context(), &s3.CreateBucketInput{
		Bucket: &bucket, CreateBucketConfiguration: &types.CreateBucketConfiguration{LocationConstraint: region},
	}); err != nil {
		t.Fatalf("making a bucket: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		_, objectErr := client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &bucket, Key: aws.String(s3snapshot.DefaultKey)})
		_, bucketErr := client.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: &bucket})
		_, keyErr := keys.ScheduleKeyDeletion(ctx, &kms.ScheduleKeyDeletionInput{KeyId: &key, PendingWindowInDays: aws.Int32(7)})
		if err := errors.Join(objectErr, bucketErr, keyErr); err != nil {
			t.Errorf("cleaning up: %v", err)
		}
	})
	if _, err := client.PutBucketEncryption(t.Context(), &s3.PutBucketEncryptionInput{
		Bucket: &bucket, ServerSideEncryptionConfiguration: &types.ServerSideEncryptionConfiguration{Rules: []types.ServerSideEncryptionRule{{
			ApplyServerSideEncryptionByDefault: &types.ServerSideEncryptionByDefault{SSEAlgorithm: types.ServerSideEncryptionAwsKms, KMSMasterKeyID: &key},
		}}},
	}); err != nil {
		t.Fatalf("setting the encryption of a bucket: %v", err)
	}
	return client, bucket, key
}

func bucketCopy(t *testing.T, client s3snapshot.Client, bucket string) *s3snapshot.Copy {
	t.Helper()
	c, err := s3snapshot.New(s3snapshot.Config{Client: client, Bucket: bucket, Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestBucket saves and loads, with what S3 says of conditions, checksums, metadata and encryption.
func TestBucket(t *testing.T) {
	t.Parallel()
	client, bucket, key := newBucket(t)
	c := bucketCopy(t, client, bucket)
	if _, err := c.Load(t.Context(), new(collector)); !errors.Is(err, directory.ErrNoSnapshot) {
		t.Errorf("an empty bucket: %v; want ErrNoSnapshot", err)
	}
	save(t, c, 10, 1, 20_000)
	checkKept(t, c, 10, 1, 20_000)
	if err := c.Save(t.Context(), at(9, 1), tenants(1)); !errors.Is(err, directory.ErrNotNewer) {
		t.Errorf("an older one: %v; want ErrNotNewer", err)
	}
	save(t, c, 11, 1, 3)
	checkKept(t, c, 11, 1, 3)
	if loaded, _ := load(t, c); time.Since(loaded.Saved).Abs() > time.Hour {
		t.Errorf("saved at %v", loaded.Saved)
	}
	head, err := client.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &bucket, Key: aws.String(s3snapshot.DefaultKey)})
	if err != nil || head.ServerSideEncryption != types.ServerSideEncryptionAwsKms || aws.ToString(head.SSEKMSKeyId) != key {
		t.Errorf("encrypted by %s with %s, %v; want the bucket's key %s", head.ServerSideEncryption, aws.ToString(head.SSEKMSKeyId), err, key)
	}
	// Somebody spoils the object.
	if _, err := client.PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: &bucket, Key: aws.String(s3snapshot.DefaultKey), Body: strings.NewReader("DMCLDIR\x01 and then nothing"),
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Load(t.Context(), new(collector)); !errors.Is(err, directory.ErrTornFile) {
		t.Errorf("a spoilt object: %v; want ErrTornFile", err)
	}
	save(t, c, 12, 1, 3)
	checkKept(t, c, 12, 1, 3)
}

// TestBucketRace lets processes save at once what goes further and further: the furthest stays.
func TestBucketRace(t *testing.T) {
	t.Parallel()
	client, bucket, _ := newBucket(t)
	const processes = 6
	var all sync.WaitGroup
	for p := range processes {
		all.Go(func() {
			err := bucketCopy(t, client, bucket).Save(t.Context(), at(uint64(p+1), 1), tenants(p+1))
			if err != nil && (!errors.Is(err, directory.ErrNotNewer) || p == processes-1) {
				t.Errorf("process %d: %v", p, err)
			}
		})
	}
	all.Wait()
	checkKept(t, bucketCopy(t, client, bucket), processes, 1, processes)
}

func TestNoBucket(t *testing.T) {
	t.Parallel()
	client, _, _ := newBucket(t)
	c := bucketCopy(t, client, "domicile-test-missing-"+strings.ToLower(rand.Text()[:12]))
	if _, err := c.Load(t.Context(), new(collector)); err == nil || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("loading: %v", err)
	}
	if err := c.Save(t.Context(), at(1, 1), tenants(1)); err == nil || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("saving: %v", err)
	}
}
