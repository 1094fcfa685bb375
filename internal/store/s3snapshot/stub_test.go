package s3snapshot_test

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/domicile-api/domicile/internal/store/s3snapshot"
)

// smallS3 is a transport that keeps one object as S3 does, from memory.
type smallS3 struct {
	// refuse is the code and status that every request is answered with; empty: none.
	refuse string
	status int
	// before is called before each request; it may change what is kept.
	before func(r *http.Request)
	// cut lets that many downloads break off half way.
	cut int
	// loseAnswer lets a put take effect and its connection break.
	loseAnswer bool

	mu       sync.Mutex
	requests []string
	object   []byte // nil: there is none
	metadata http.Header
	saved    time.Time
}

func newCopy(t *testing.T, s *smallS3) *s3snapshot.Copy {
	t.Helper()
	return newCopyIn(t, s, t.TempDir())
}

func newCopyIn(t *testing.T, s *smallS3, dir string) *s3snapshot.Copy {
	t.Helper()
	c, err := s3snapshot.New(s3snapshot.Config{
		Bucket: "domicile-snapshots", Dir: dir,
		Client: s3.New(s3.Options{
			Region: "eu-central-1", HTTPClient: &http.Client{Transport: s}, Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""),
			BaseEndpoint: aws.String("https://s3.test"), UsePathStyle: true,
			ResponseChecksumValidation: aws.ResponseChecksumValidationWhenSupported, // As the SDK is configured by default.
			Retryer:                    aws.NopRetryer{},                            // The SDK's retries have tests of their own, and pauses.
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (s *smallS3) asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

func (s *smallS3) tag() string {
	sum := md5.Sum(s.object)
	return `"` + hex.EncodeToString(sum[:]) + `"`
}

var errLost = errors.New("connection reset by peer")

func (s *smallS3) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	if s.before != nil {
		s.before(r)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, r.Method)
	if s.refuse != "" {
		return refusal(r, s.status, s.refuse), nil
	}
	if r.Method == http.MethodPut {
		return s.put(r)
	}
	if s.object == nil {
		return refusal(r, http.StatusNotFound, "NoSuchKey"), nil
	}
	head := s.metadata.Clone()
	head.Set("ETag", s.tag())
	if r.Header.Get("X-Amz-Checksum-Mode") != "" {
		head.Set("X-Amz-Checksum-Crc32", "AAAAAA==") // Nobody should compare it: the snapshot has its own.
	}
	head.Set("Last-Modified", s.saved.UTC().Format(http.TimeFormat))
	head.Set("Content-Length", strconv.Itoa(len(s.object)))
	data := s.object
	if s.cut > 0 && r.Method == http.MethodGet {
		s.cut--
		data = data[:len(data)/2]
	}
	if r.Method == http.MethodHead {
		data = nil
	}
	return &http.Response{
		StatusCode: http.StatusOK, Header: head, Body: io.NopCloser(bytes.NewReader(data)), ContentLength: int64(len(s.object)), Request: r,
	}, nil
}

func (s *smallS3) put(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	if strings.HasPrefix(r.Header.Get("X-Amz-Content-Sha256"), "STREAMING-") {
		body = unchunk(body)
	}
	if match := r.Header.Get("If-Match"); match != "" && (s.object == nil || match != s.tag()) || r.Header.Get("If-None-Match") == "*" && s.object != nil {
		return refusal(r, http.StatusPreconditionFailed, "PreconditionFailed"), nil
	}
	s.object, s.metadata = body, http.Header{}
	for name, values := range r.Header {
		if strings.HasPrefix(name, "X-Amz-Meta-") {
			s.metadata[name] = values
		}
	}
	if s.loseAnswer {
		s.loseAnswer = false
		return nil, errLost
	}
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Etag": {s.tag()}}, Body: http.NoBody, Request: r}, nil
}

// unchunk reads a body in the encoding aws-chunked, without its trailers.
func unchunk(body []byte) []byte {
	var whole []byte
	for {
		line, rest, _ := bytes.Cut(body, []byte("\r\n"))
		size, _, _ := strings.Cut(string(line), ";")
		n, err := strconv.ParseInt(size, 16, 64)
		if err != nil || n == 0 {
			return whole
		}
		whole = append(whole, rest[:n]...)
		body = rest[n+2:]
	}
}

func refusal(r *http.Request, status int, code string) *http.Response {
	data, _ := xml.Marshal(struct {
		XMLName xml.Name `xml:"Error"`
		Code    string   `xml:"Code"`
	}{Code: code}) // It always encodes.
	if r.Method == http.MethodHead {
		data = nil
	}
	return &http.Response{
		StatusCode: status, Header: http.Header{"Content-Type": {"application/xml"}}, Body: io.NopCloser(bytes.NewReader(data)),
		ContentLength: int64(len(data)), Request: r,
	}
}
