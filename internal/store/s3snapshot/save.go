package s3snapshot

import (
	"bufio"
	"context"
	"errors"
	"io"
	"iter"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	directoryv1 "github.com/domicile-api/domicile/gen/domicile/directory/v1"
	"github.com/domicile-api/domicile/internal/directory"
)

// saves is how often a save is tried when others save at the same time.
const saves = 8

// Save implements directory.Copy. It fails with directory.ErrNotNewer when the snapshot that is kept goes at least as far, or further for
// some writer; with ErrCopyDenied; or with what became of the requests, in which case the snapshot may have been saved or not.
func (c *Copy) Save(ctx context.Context, positions []*directoryv1.Position, records iter.Seq[*directoryv1.Record]) (err error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.SaveTimeout)
	defer cancel()
	ours := progressOf(positions)
	kept, err := c.kept(ctx)
	if err != nil {
		return c.explain("looking at", err)
	}
	if !ours.newer(kept.progress) {
		return directory.ErrNotNewer
	}
	spool, err := c.newSpool()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, spool.close()) }()
	if err := spool.fill(func(w io.Writer) error {
		buffered := bufio.NewWriterSize(w, 1<<16)
		return errors.Join(directory.WriteSnapshot(buffered, positions, records), buffered.Flush())
	}); err != nil {
		return err
	}
	for range saves {
		err := c.upload(ctx, spool, ours, kept)
		if !lostRace(err) {
			return c.explain("saving", err)
		}
		if kept, err = c.kept(ctx); err != nil {
			return c.explain("looking at", err)
		}
		if !ours.newer(kept.progress) {
			return directory.ErrNotNewer
		}
	}
	return c.explain("saving", errBusy)
}

// object is what is kept.
type object struct {
	// tag is its ETag; nil: there is none.
	tag      *string
	progress progress
}

// kept looks at the object.
func (c *Copy) kept(ctx context.Context) (object, error) {
	out, err := c.cfg.Client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &c.cfg.Bucket, Key: &c.cfg.Key})
	if isMissing(err) {
		return object{}, nil
	}
	if err != nil {
		return object{}, err
	}
	return object{tag: out.ETag, progress: progressIn(out.Metadata)}, nil
}

// upload puts the object in the place of the one that is kept, and of no other.
func (c *Copy) upload(ctx context.Context, from *spool, ours progress, kept object) error {
	if err := from.rewind(); err != nil {
		return err
	}
	in := &s3.PutObjectInput{
		Bucket: &c.cfg.Bucket, Key: &c.cfg.Key, Body: from.file, ContentLength: &from.size, Metadata: ours.metadata(),
		ContentType: aws.String("application/octet-stream"), ChecksumAlgorithm: types.ChecksumAlgorithmSha256, IfMatch: kept.tag,
	}
	if kept.tag == nil {
		in.IfNoneMatch = aws.String("*")
	}
	_, err := c.cfg.Client.PutObject(ctx, in)
	return err
}
