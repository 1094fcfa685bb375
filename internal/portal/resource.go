package portal

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// What caches may do.
const (
	cacheForever    = "public, max-age=31536000, immutable" // The path changes with the content.
	cacheRevalidate = "no-cache"
)

// smallest is the size in bytes from which compressing is worth it.
const smallest = 512

// resource is something to be served, with its compressed form.
type resource struct {
	contentType, cache string
	plain, gzipped     []byte
	// tag is the ETag's text without quotes; the compressed form has its own.
	tag string
	// page says that it is HTML, which is protected by the policy.
	page bool
}

// newResource compresses what is to be served.
func newResource(contentType, cache string, plain []byte) (*resource, error) {
	r := &resource{contentType: contentType, cache: cache, plain: plain, tag: digest(plain)}
	if len(plain) < smallest || contentType == typeZip {
		return r, nil
	}
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, fmt.Errorf("portal: compressing: %w", err)
	}
	if _, err := z.Write(plain); err != nil {
		return nil, fmt.Errorf("portal: compressing: %w", err)
	}
	if err := z.Close(); err != nil {
		return nil, fmt.Errorf("portal: compressing: %w", err)
	}
	r.gzipped = b.Bytes()
	return r, nil
}

// newGzipped is a resource that is kept compressed alone. The seldom client that does not take it so is given what it makes of it.
func newGzipped(contentType, cache string, gzipped []byte) *resource {
	return &resource{contentType: contentType, cache: cache, gzipped: gzipped, tag: digest(gzipped)}
}

// digest names content.
func digest(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:10])
}

// serve answers a GET or HEAD, or says that the caller has it already.
func (r *resource) serve(w http.ResponseWriter, req *http.Request, status int) {
	compressed := r.gzipped != nil && acceptsGzip(req.Header.Values("Accept-Encoding"))
	h := w.Header()
	h.Set("Cache-Control", r.cache)
	h.Set("Content-Type", r.contentType)
	h.Add("Vary", "Accept-Encoding")
	tag := `"` + r.tag + `"`
	if compressed {
		tag = `"` + r.tag + `-gzip"`
	}
	h.Set("ETag", tag)
	if status == http.StatusOK && r.known(req.Header.Values("If-None-Match")) {
		h.Del("Content-Type")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	body, err := r.body(compressed)
	if err != nil {
		http.Error(w, "the file is damaged", http.StatusInternalServerError)
		return
	}
	if compressed {
		h.Set("Content-Encoding", "gzip")
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if req.Method == http.MethodHead {
		return
	}
	if _, err := w.Write(body); err != nil {
		return // The caller has gone.
	}
}

func (r *resource) body(compressed bool) ([]byte, error) {
	switch {
	case compressed:
		return r.gzipped, nil
	case r.plain != nil:
		return r.plain, nil
	default:
		return expand(r.gzipped)
	}
}

// maxExpanded bounds what the portal's own files become, in bytes.
const maxExpanded = 16 << 20

func expand(gzipped []byte) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(gzipped))
	if err != nil {
		return nil, fmt.Errorf("portal: expanding: %w", err)
	}
	plain, err := io.ReadAll(io.LimitReader(z, maxExpanded))
	if err != nil {
		return nil, fmt.Errorf("portal: expanding: %w", err)
	}
	return plain, nil
}

// known tells whether the caller says that it has the content, in whichever form (RFC 9110, section 13.1.2).
func (r *resource) known(lines []string) bool {
	for _, line := range lines {
		for word := range strings.SplitSeq(line, ",") {
			word = strings.Trim(strings.TrimPrefix(strings.TrimSpace(word), "W/"), `"`)
			if word == "*" || strings.TrimSuffix(word, "-gzip") == r.tag {
				return true
			}
		}
	}
	return false
}

// acceptsGzip reads Accept-Encoding (RFC 9110, section 12.5.3).
func acceptsGzip(lines []string) bool {
	anything, withoutSpaces := false, strings.NewReplacer(" ", "", "\t", "")
	for _, line := range lines {
		for word := range strings.SplitSeq(line, ",") {
			coding, parameters, _ := strings.Cut(word, ";")
			coding = strings.ToLower(strings.TrimSpace(coding))
			if coding != "gzip" && coding != "*" {
				continue
			}
			allowed := true
			if weight, given := strings.CutPrefix(strings.ToLower(withoutSpaces.Replace(parameters)), "q="); given {
				q, err := strconv.ParseFloat(weight, 64)
				allowed = err == nil && q > 0
			}
			if coding == "gzip" {
				return allowed
			}
			anything = allowed
		}
	}
	return anything
}
