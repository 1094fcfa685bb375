package s3snapshot_test

import (
	"errors"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/domicile-api/domicile/internal/directory"
	"github.com/domicile-api/domicile/internal/store/s3snapshot"
)

// newGetter returns a copy that loads with a Getter what others saved in s.
func newGetter(t *testing.T, transport http.RoundTripper, endpoint *string) *s3snapshot.Copy {
	t.Helper()
	c, err := s3snapshot.New(s3snapshot.Config{
		Bucket: "domicile-snapshots", Dir: t.TempDir(),
		Client: s3snapshot.NewGetter(aws.Config{
			Region: "eu-central-1", HTTPClient: &http.Client{Transport: transport}, BaseEndpoint: endpoint,
			Credentials: credentials.NewStaticCredentialsProvider("id", "secret", "session"),
			Retryer: func() aws.Retryer {
				return retry.NewStandard(func(o *retry.StandardOptions) { o.MaxBackoff = time.Microsecond })
			},
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestGetterLoads(t *testing.T) {
	t.Parallel()
	s := &smallS3{saved: time.Unix(1_700_000_000, 0)}
	save(t, newCopy(t, s), 3, 5, 1000)
	c := newGetter(t, s, aws.String("https://s3.test"))
	checkKept(t, c, 3, 5, 1000)
	if loaded, _ := load(t, c); !loaded.Saved.Equal(s.saved) {
		t.Errorf("saved at %v, want %v", loaded.Saved, s.saved)
	}
	s.cut = 2
	checkKept(t, c, 3, 5, 1000)
	if err := c.Save(t.Context(), at(9, 9), tenants(1)); err == nil {
		t.Error("a process that only loads has saved")
	}
}

func TestGetterTriesAgain(t *testing.T) {
	t.Parallel()
	s := &smallS3{status: http.StatusServiceUnavailable}
	save(t, newCopy(t, s), 3, 5, 10)
	tries := 0
	s.before = func(*http.Request) {
		if s.refuse = "SlowDown"; tries == 2 {
			s.refuse = ""
		}
		tries++
	}
	checkKept(t, newGetter(t, s, nil), 3, 5, 10)
	if tries != 3 {
		t.Errorf("%d tries", tries)
	}
	s.before = func(*http.Request) { s.refuse = "SlowDown" }
	before := len(s.asked())
	var none collector
	if _, err := newGetter(t, s, nil).Load(t.Context(), &none); err == nil || len(s.asked())-before != 3 {
		t.Errorf("%v after %d tries", err, len(s.asked())-before)
	}
}

func TestGetterErrors(t *testing.T) {
	t.Parallel()
	for code, tc := range map[string]struct {
		status int
		want   error
	}{
		"NoSuchKey":    {http.StatusNotFound, directory.ErrNoSnapshot},
		"AccessDenied": {http.StatusForbidden, directory.ErrCopyDenied},
		"ExpiredToken": {http.StatusForbidden, directory.ErrCopyDenied},
	} {
		s := &smallS3{refuse: code, status: tc.status}
		var none collector
		if _, err := newGetter(t, s, nil).Load(t.Context(), &none); !errors.Is(err, tc.want) || len(none.records) > 0 {
			t.Errorf("%s: %v", code, err)
		}
	}
}

// requests keeps what was asked for.
type requests struct {
	all  []*http.Request
	next http.RoundTripper
}

func (r *requests) RoundTrip(request *http.Request) (*http.Response, error) {
	r.all = append(r.all, request)
	return r.next.RoundTrip(request)
}

func TestGetterSigns(t *testing.T) {
	t.Parallel()
	for want, endpoint := range map[string]*string{
		"https://domicile-snapshots.s3.eu-central-1.amazonaws.com/directory.snapshot": nil,
		"http://127.0.0.1:4566/domicile-snapshots/directory.snapshot":                 aws.String("http://127.0.0.1:4566"),
	} {
		s := &smallS3{refuse: "NoSuchKey", status: http.StatusNotFound}
		asked := &requests{next: s}
		var none collector
		if _, err := newGetter(t, asked, endpoint).Load(t.Context(), &none); !errors.Is(err, directory.ErrNoSnapshot) {
			t.Fatal(err)
		}
		got := asked.all[0]
		form := regexp.MustCompile(`^AWS4-HMAC-SHA256 Credential=id/\d{8}/eu-central-1/s3/aws4_request, SignedHeaders=([a-z0-9;-]+), Signature=[0-9a-f]{64}$`)
		parts := form.FindStringSubmatch(got.Header.Get("Authorization"))
		if got.URL.String() != want || parts == nil || got.Header.Get("X-Amz-Security-Token") != "session" {
			t.Fatalf("%s: %s %v", want, got.URL, got.Header)
		}
		signed := strings.Split(parts[1], ";")
		for _, name := range []string{"host", "x-amz-content-sha256", "x-amz-date", "x-amz-security-token"} {
			if !slices.Contains(signed, name) {
				t.Errorf("%s is not signed: %s", name, parts[1])
			}
		}
	}
}
