package s3snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/domicile-api/domicile/internal/directory"
)

// downloads is how often an object is asked for when its transfer breaks off.
const downloads = 3

// Load implements directory.Copy. It fails with directory.ErrNoSnapshot, ErrCopyDenied, ErrTornFile or ErrForeignFile, or with what
// became of the requests.
func (c *Copy) Load(ctx context.Context, sink directory.Sink) (loaded directory.Loaded, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.LoadTimeout)
	defer cancel()
	spool, err := c.newSpool()
	if err != nil {
		return directory.Loaded{}, err
	}
	defer func() { err = errors.Join(err, spool.close()) }()
	saved, err := c.download(ctx, spool)
	if err != nil {
		return directory.Loaded{}, c.explain("loading", err)
	}
	loaded, err = directory.ReadSnapshot(spool.file, spool.size, sink)
	if err != nil {
		return directory.Loaded{}, fmt.Errorf("%s: %w", c.name(), err)
	}
	loaded.Saved = saved
	return loaded, nil
}

// download brings the object into the spool, and returns when it was saved.
func (c *Copy) download(ctx context.Context, to *spool) (saved time.Time, err error) {
	for range downloads {
		var out *s3.GetObjectOutput
		out, err = c.cfg.Client.GetObject(ctx, &s3.GetObjectInput{Bucket: &c.cfg.Bucket, Key: &c.cfg.Key}, ownChecksum)
		if err != nil {
			return time.Time{}, err
		}
		err = to.fill(func(w io.Writer) error {
			_, err := io.Copy(w, out.Body)
			return errors.Join(err, out.Body.Close())
		})
		if err == nil && out.ContentLength != nil && *out.ContentLength != to.size {
			err = fmt.Errorf("%d bytes came of %d: %w", to.size, *out.ContentLength, io.ErrUnexpectedEOF)
		}
		if err == nil {
			return aws.ToTime(out.LastModified), nil
		}
		if ctx.Err() != nil {
			break
		}
	}
	return time.Time{}, fmt.Errorf("the transfer broke off: %w", err)
}

// ownChecksum leaves the checking to the snapshot's own checksum, whose failure has a type.
func ownChecksum(o *s3.Options) {
	o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
}
