package mount

import (
	"compress/gzip"
	"io"

	"connectrpc.com/connect"

	"github.com/domicile-api/domicile/internal/rpc"
)

// codecGzip is the one compression that Connect and Vanguard both know by themselves.
const codecGzip = "gzip"

// gunzip is a decompressor that gives no more than a message may have. Connect bounds what it decompresses itself; Vanguard 0.4.0
// decompresses a REST body whole, however large it becomes, before anything else looks at it: 4 MiB can hold 4 GiB.
type gunzip struct {
	reader gzip.Reader
	limit  int64
	left   int64
}

var _ connect.Decompressor = (*gunzip)(nil)

// Read implements io.Reader. Beyond the limit it fails with TOO_LARGE.
func (g *gunzip) Read(p []byte) (int, error) {
	if int64(len(p)) > g.left+1 {
		p = p[:g.left+1]
	}
	n, err := g.reader.Read(p)
	if g.left -= int64(n); g.left < 0 {
		g.left = 0
		return n - 1, rpc.ToConnect(rpc.TooLarge(g.limit))
	}
	return n, err //nolint:wrapcheck // io.EOF among them
}

// Close implements io.Closer.
func (g *gunzip) Close() error { return g.reader.Close() } //nolint:wrapcheck // a plain delegate

// Reset implements connect.Decompressor.
func (g *gunzip) Reset(r io.Reader) error {
	g.left = g.limit
	return g.reader.Reset(r) //nolint:wrapcheck // a plain delegate
}

func newGzip() connect.Compressor { return gzip.NewWriter(io.Discard) }
