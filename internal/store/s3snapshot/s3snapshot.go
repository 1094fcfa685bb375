// Package s3snapshot keeps the last good copy of the directory as one object in a bucket of the region: directory.Copy on Amazon S3.
//
// # What it promises
//
// The object is one whole snapshot at every moment: S3 replaces objects at once, and what is loaded is checked, by its SHA-256, before
// any of it is used. An older snapshot never replaces a newer one, however many processes save: how far a snapshot goes stands in the
// object's metadata, and a save counts only if the object is still the one that was compared (If-Match). A snapshot that does not go
// further than the one that is kept is not sent at all.
//
// Neither loading nor saving needs more memory than some thousand records: the snapshot passes through a file that has no name and goes
// with the process, 50 to 100 MB for a million tenants.
//
// The object is encrypted as the bucket says, so that the bucket's default decides the key.
//
// # Permissions
//
// Loading needs s3:GetObject, saving also s3:PutObject, on the object; and the key's kms:Decrypt, and kms:GenerateDataKey. Without
// s3:ListBucket on the bucket S3 answers that access is denied where there is no object.
package s3snapshot

import (
	"context"
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/domicile-api/domicile/internal/directory"
)

// Client is what a Copy needs of *s3.Client. Its retries are used.
type Client interface {
	HeadObject(ctx context.Context, in *s3.HeadObjectInput, o ...func(*s3.Options)) (*s3.HeadObjectOutput, error)
	GetObject(ctx context.Context, in *s3.GetObjectInput, o ...func(*s3.Options)) (*s3.GetObjectOutput, error)
	PutObject(ctx context.Context, in *s3.PutObjectInput, o ...func(*s3.Options)) (*s3.PutObjectOutput, error)
}

// What a Config says when it says nothing.
const (
	DefaultKey         = "directory.snapshot"
	DefaultLoadTimeout = 30 * time.Second
	DefaultSaveTimeout = 2 * time.Minute
)

// Config is what a Copy is made with. Bucket and Client are required; a zero value elsewhere means the default.
type Config struct {
	// Client makes the requests.
	Client Client
	// Bucket is the bucket's name, and Key the object's.
	Bucket, Key string
	// Dir is a folder with room for a snapshot; default: the system's for temporary files.
	Dir string
	// LoadTimeout and SaveTimeout bound the calls, besides their contexts.
	LoadTimeout, SaveTimeout time.Duration
}

// Copy is the copy in a bucket. All methods are safe for concurrent use.
type Copy struct{ cfg Config }

var _ directory.Copy = (*Copy)(nil)

// New returns a copy, without asking AWS anything.
func New(cfg Config) (*Copy, error) {
	if cfg.Client == nil || cfg.Bucket == "" {
		return nil, errors.New("s3snapshot: no client or no bucket given")
	}
	if cfg.Key == "" {
		cfg.Key = DefaultKey
	}
	if cfg.LoadTimeout <= 0 {
		cfg.LoadTimeout = DefaultLoadTimeout
	}
	if cfg.SaveTimeout <= 0 {
		cfg.SaveTimeout = DefaultSaveTimeout
	}
	return &Copy{cfg: cfg}, nil
}
