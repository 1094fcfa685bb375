//go:build aws

package aws_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/domicile-api/domicile/internal/app"
	"github.com/domicile-api/domicile/internal/deployment"
	"github.com/domicile-api/domicile/internal/seal"
)

// refusal bounds how long a start may take that is refused.
const refusal = 20 * time.Second

// A region does not start on infrastructure that is not its release's, and says what is wrong and what to do.
func TestRefusedStarts(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		broken func(n deployment.Names) string
		schema bool
		// words are in the error besides the region and the name of what is broken, or what says has.
		words []string
		says  func(n deployment.Names) string
	}{
		"the directory is missing":            {broken: func(n deployment.Names) string { return n.Table("directory") }, words: []string{"deploy"}},
		"a table is missing":                  {broken: func(n deployment.Names) string { return n.Table("replica") }, words: []string{"deploy"}},
		"a table of another schema":           {broken: func(n deployment.Names) string { return n.Table("regional") }, schema: true, words: []string{"deploy", "99"}},
		"the directory of another schema":     {broken: func(n deployment.Names) string { return n.Table("directory") }, schema: true, words: []string{"deploy", "99"}},
		"a queue is missing":                  {broken: func(n deployment.Names) string { return n.Queue("events") }, words: []string{"deploy"}},
		"a queue without dead letters":        {broken: func(n deployment.Names) string { return n.DeadQueue("events") }, says: func(n deployment.Names) string { return n.Queue("events") }, words: []string{"RedrivePolicy"}},
		"a queue of another schema":           {broken: func(n deployment.Names) string { return n.Queue("events") }, schema: true, words: []string{"deploy", "99"}},
		"the secret of the route key":         {broken: deployment.Names.RouteKey, words: []string{"deploy"}},
		"the secret of the peer key":          {broken: deployment.Names.PeerKey, words: []string{"deploy"}},
		"the key of tenants' keys is missing": {broken: deployment.Names.TenantsKey, words: []string{"deploy"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := spec{topology: parse(t, oneRegion(freeBase(t)))}
			if tt.schema {
				s.schema = func(n deployment.Names) map[string]string { return map[string]string{tt.broken(n): "99"} }
			} else {
				s.without = func(n deployment.Names) []string { return []string{tt.broken(n)} }
			}
			d := deploy(t, s)
			ctx, cancel := context.WithTimeout(t.Context(), refusal)
			defer cancel()
			began := time.Now()
			p, err := app.Start(ctx, configOf(t, d, &output{}))
			if err == nil {
				_ = p.Close()
				t.Fatal("it starts")
			}
			t.Logf("after %v: %v", time.Since(began).Round(time.Millisecond), err)
			if ctx.Err() != nil {
				t.Errorf("it is not refused within %v", refusal)
			}
			if tt.says == nil {
				tt.says = tt.broken
			}
			for _, word := range append(tt.words, tt.says(d.names), frankfurt) {
				if !strings.Contains(err.Error(), word) {
					t.Errorf("the error does not say %q", word)
				}
			}
		})
	}
}

// A process without credentials is refused soon, also where the service that would give it some does not answer.
func TestNoCredentials(t *testing.T) {
	t.Parallel()
	mute, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0") // It lets connections in and says nothing.
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = mute.Close() })
	for name, env := range map[string]string{
		"none":                   "AWS_EC2_METADATA_DISABLED=true",
		"a service that is mute": "AWS_EC2_METADATA_SERVICE_ENDPOINT=http://" + mute.Addr().String(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), refusal)
			defer cancel()
			file := filepath.Join(t.TempDir(), "topology.yaml")
			if err := os.WriteFile(file, []byte(oneRegion(freeBase(t))), 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(ctx, os.Args[0], "serve", "--backend", "aws", "--region", frankfurt, "--topology", file, "--data", t.TempDir())
			cmd.Env = []string{asBinary + "=1", "HOME=" + t.TempDir(), "AWS_ENDPOINT_URL=" + os.Getenv("AWS_ENDPOINT_URL"), env}
			began := time.Now()
			out, err := cmd.CombinedOutput()
			t.Logf("after %v: %v: %s", time.Since(began).Round(time.Millisecond), err, out)
			if _, ended := errors.AsType[*exec.ExitError](err); !ended || ctx.Err() != nil {
				t.Fatalf("it is not refused within %v", refusal)
			}
			if !strings.Contains(string(out), "credentials") {
				t.Error("the error does not speak of credentials")
			}
		})
	}
}

// While a region's key of KMS is disabled, nothing of a tenant is opened: calls are refused as unavailable, and go on when it is enabled again.
func TestKeyDisabled(t *testing.T) {
	t.Parallel()
	d := deploy(t, spec{topology: parse(t, oneRegion(freeBase(t)))})
	log := &output{}
	cfg := configOf(t, d, log)
	var later atomic.Int64
	cfg.Clock = func() time.Time { return time.Now().Add(time.Duration(later.Load())) }
	p := start(t, cfg, log)
	users := p.Endpoint(frankfurt) + "/v1/users"
	write := request{
		method: http.MethodPost, url: users, key: keysOf(p)["bank-eu"], body: newUser("disabled"), header: map[string]string{"Idempotency-Key": "disabled"},
	}
	user := do(t, write).mustBe(t, frankfurt).text("id")
	alias := d.names.TenantsKey()
	key, err := d.in(frankfurt).kms.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: &alias})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.in(frankfurt).kms.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: key.KeyMetadata.KeyId}); err != nil {
		t.Fatal(err)
	}
	later.Store(int64(seal.DefaultMaxAge + time.Second)) // Until then the process knows the tenant's key.
	read := request{method: http.MethodGet, url: users + "/" + user, key: write.key}
	first := write
	first.key, first.header = keysOf(p)["acme-eu"], map[string]string{"Idempotency-Key": "first"}
	for name, c := range map[string]request{"a read": read, "a first write": first} {
		began := time.Now()
		a := do(t, c)
		if a.status != http.StatusServiceUnavailable || a.reason() == "" || a.header.Get("Retry-After") == "" {
			t.Errorf("%s: %d %q, Retry-After %q: %s", name, a.status, a.reason(), a.header.Get("Retry-After"), a.body)
		}
		t.Logf("%s after %v: %d %s %s", name, time.Since(began).Round(time.Millisecond), a.status, a.reason(), a.text("message"))
		if strings.Contains(string(a.body), "kms") || strings.Contains(string(a.body), "arn:") {
			t.Errorf("%s: the error says too much: %s", name, a.body)
		}
	}
	if _, err := d.in(frankfurt).kms.EnableKey(t.Context(), &kms.EnableKeyInput{KeyId: key.KeyMetadata.KeyId}); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]request{"a read": read, "a first write": first} {
		eventually(t, name+" is answered again", func() error {
			a, err := try(t.Context(), c)
			return errors.Join(err, a.isOK(frankfurt))
		})
	}
}
