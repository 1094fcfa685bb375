//go:build aws

package s3snapshot_test

import (
	"errors"
	"testing"

	"github.com/aws/aws-sdk-go-v2/config"

	"github.com/domicile-api/domicile/internal/directory"
	"github.com/domicile-api/domicile/internal/store/s3snapshot"
)

// TestBucketGetter loads without the SDK's client what that has saved, and tells what is missing.
func TestBucketGetter(t *testing.T) {
	t.Parallel()
	client, bucket, _ := newBucket(t)
	cfg, err := config.LoadDefaultConfig(t.Context(), config.WithRegion(region))
	if err != nil {
		t.Fatal(err)
	}
	getter := bucketCopy(t, s3snapshot.NewGetter(cfg), bucket)
	var none collector
	if _, err := getter.Load(t.Context(), &none); !errors.Is(err, directory.ErrNoSnapshot) {
		t.Errorf("an empty bucket: %v", err)
	}
	save(t, bucketCopy(t, client, bucket), 3, 5, 1000)
	checkKept(t, getter, 3, 5, 1000)
	if _, err := bucketCopy(t, s3snapshot.NewGetter(cfg), bucket+"-not").Load(t.Context(), &none); err == nil || errors.Is(err, directory.ErrNoSnapshot) {
		t.Errorf("a bucket that there is not: %v", err)
	}
}
