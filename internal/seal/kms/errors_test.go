package kms_test

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/google/go-cmp/cmp"

	"github.com/domicile-api/domicile/internal/seal"
	"github.com/domicile-api/domicile/internal/seal/kms"
)

// A key that cannot be used says why, after one call, and nothing opens.
func TestKeyErrors(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		code, message string
		want          kms.Reason
	}{
		"disabled":         {"DisabledException", "arn:aws:kms:eu-central-1:111122223333:key/1 is disabled.", kms.Disabled},
		"pending deletion": {"KMSInvalidStateException", "arn:aws:kms:eu-central-1:111122223333:key/1 is pending deletion.", kms.PendingDeletion},
		"pending import":   {"KMSInvalidStateException", "arn:aws:kms:eu-central-1:111122223333:key/1 is pending import.", kms.BadState},
		"denied":           {"AccessDeniedException", "User is not authorized to perform: kms:Decrypt", kms.AccessDenied},
		"gone":             {"NotFoundException", "Key does not exist", kms.NotFound},
		"for signing":      {"InvalidKeyUsageException", "", kms.Unsuitable},
		"expired":          {"ExpiredTokenException", "The security token included in the request is expired", kms.Credentials},
		"unknown identity": {"UnrecognizedClientException", "", kms.Credentials},
		"something else":   {"ValidationException", "1 validation error detected", kms.Refused},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFakeKMS()
			k := f.add(home, "alias/domicile-tenants")
			w := wrapper(t, f.config(home, k.alias))
			wrapped, err := w.Wrap(t.Context(), "acme-eu", []byte("key set"))
			if err != nil {
				t.Fatal(err)
			}
			// What KMS writes may name what it was sent; that must not come out.
			secret := base64.StdEncoding.EncodeToString(wrapped)
			f.refuse(k, test.code, test.message+" "+secret)
			before := f.total()
			plain, err := w.Unwrap(t.Context(), "acme-eu", wrapped)
			got, ok := errors.AsType[*kms.KeyError](err)
			if !ok || plain != nil || errors.Is(err, seal.ErrCannotOpen) {
				t.Fatalf("Unwrap = %q, %v", plain, err)
			}
			want := &kms.KeyError{Reason: test.want, Operation: "Decrypt", Region: home, Key: k.alias, Code: test.code, RequestID: "5d1f3f0e"}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			if n := f.total() - before; n != 1 {
				t.Errorf("%d calls", n)
			}
			if text := err.Error(); strings.Contains(text, secret) || !strings.Contains(text, string(home)) || !strings.Contains(text, test.code) {
				t.Errorf("the text is %q", text)
			}
			if _, err := w.Wrap(t.Context(), "acme-eu", []byte("key set")); !errors.As(err, &got) || got.Reason != test.want {
				t.Errorf("Wrap: %v", err)
			}
			f.refuse(k, "", "")
			if plain, err := w.Unwrap(t.Context(), "acme-eu", wrapped); err != nil || string(plain) != "key set" {
				t.Errorf("once the key can be used again: %q, %v", plain, err)
			}
		})
	}
}

// Absent credentials are not taken for a network that does not answer.
func TestNoCredentials(t *testing.T) {
	t.Parallel()
	f := newFakeKMS()
	cfg := f.config(home, f.add(home, "").id)
	cfg.AWS.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{}, errors.New("no role is attached")
	})
	_, err := wrapper(t, cfg).Wrap(t.Context(), "acme-eu", []byte("key set"))
	if got, ok := errors.AsType[*kms.KeyError](err); !ok || got.Reason != kms.Credentials || f.total() != 0 {
		t.Errorf("%v after %d calls", err, f.total())
	}
}

// trouble are ways in which one call fails and the next may not.
func trouble() map[string]func() (*http.Response, error) {
	refusal := func(status int, code string) func() (*http.Response, error) {
		return func() (*http.Response, error) { return answer(status, map[string]any{"__type": code}), nil }
	}
	return map[string]func() (*http.Response, error){
		"throttled":           refusal(http.StatusBadRequest, "ThrottlingException"),                //nolint:bodyclose // as above
		"internal":            refusal(http.StatusInternalServerError, "KMSInternalException"),      //nolint:bodyclose // as above
		"key unavailable":     refusal(http.StatusInternalServerError, "KeyUnavailableException"),   //nolint:bodyclose // as above
		"unknown trouble":     refusal(http.StatusInternalServerError, "SomethingNewException"),     //nolint:bodyclose // as above
		"dependency time-out": refusal(http.StatusServiceUnavailable, "DependencyTimeoutException"), //nolint:bodyclose // as above
		"no JSON": func() (*http.Response, error) {
			r := answer(http.StatusBadGateway, nil)
			r.Body = io.NopCloser(strings.NewReader("<html>bad gateway</html>"))
			return r, nil
		},
		"connection reset": func() (*http.Response, error) { return nil, syscall.ECONNRESET },
		"connection lost":  func() (*http.Response, error) { return nil, io.EOF },
		"answer cut off": func() (*http.Response, error) {
			r := answer(http.StatusOK, nil)
			r.Body = io.NopCloser(io.MultiReader(strings.NewReader(`{"KeyId":"`), brokenReader{}))
			return r, nil
		},
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// What may pass is tried again until it does.
func TestRetries(t *testing.T) {
	t.Parallel()
	for name, fail := range trouble() { //nolint:bodyclose // as above
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFakeKMS()
				w := wrapper(t, f.config(home, f.add(home, "").id))
				left := 0
				f.intercept = func(string, string) (*http.Response, error) {
					if left--; left >= 0 {
						return fail()
					}
					return nil, nil //nolint:nilnil // KMS answers
				}
				left = 6
				wrapped, err := w.Wrap(t.Context(), "acme-eu", []byte("key set"))
				if err != nil {
					t.Fatal(err)
				}
				left = 6
				plain, err := w.Unwrap(t.Context(), "acme-eu", wrapped)
				if err != nil || string(plain) != "key set" {
					t.Errorf("Unwrap = %q, %v", plain, err)
				}
				if f.count(home, "Encrypt") != 7 || f.count(home, "Decrypt") != 7 {
					t.Errorf("calls: %v", f.calls)
				}
			})
		})
	}
}

// What does not pass is given up in time, and says what it was.
func TestDeadline(t *testing.T) {
	t.Parallel()
	for name, fail := range trouble() { //nolint:bodyclose // as above
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFakeKMS()
				f.intercept = func(string, string) (*http.Response, error) { return fail() }
				cfg := f.config(home, f.add(home, "").id)
				w := wrapper(t, cfg)
				began := time.Now()
				_, err := w.Wrap(t.Context(), "acme-eu", []byte("key set"))
				wantGivenUp(t, err, name)
				if took := time.Since(began); took > kms.DefaultTimeout || f.total() < 5 {
					t.Errorf("%d attempts in %s", f.total(), took)
				}
				ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
				defer cancel()
				began = time.Now()
				_, err = w.Wrap(ctx, "acme-eu", []byte("key set"))
				wantGivenUp(t, err, name)
				if took := time.Since(began); took > 300*time.Millisecond {
					t.Errorf("the caller's 300 ms became %s", took)
				}
				r, err := kms.NewRecipient(cfg)
				if err != nil {
					t.Fatal(err)
				}
				_, err = r.Wrap(t.Context(), "acme-eu", []byte("key set"))
				wantGivenUp(t, err, name)
				if !errors.Is(err, seal.ErrUnreachable) {
					t.Errorf("a recipient out of reach: %v", err)
				}
			})
		})
	}
}

func wantGivenUp(t *testing.T, err error, name string) {
	t.Helper()
	want := kms.Unavailable
	if name == "throttled" {
		want = kms.Throttled
	}
	if got, ok := errors.AsType[*kms.KeyError](err); !ok || got.Reason != want {
		t.Errorf("%v, want %s", err, want)
	}
	// The adapter's own time-out is not the caller's.
	if errors.Is(err, context.DeadlineExceeded) || strings.Contains(err.Error(), "%!") || !strings.Contains(err.Error(), "attempts") {
		t.Errorf("the text is %q", err)
	}
}

// A caller whose own deadline has come is told so.
func TestCallersDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeKMS()
		cfg := f.config(home, f.add(home, "").id)
		cfg.AWS.HTTPClient = &http.Client{Transport: hanging{}}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := wrapper(t, cfg).Wrap(ctx, "acme-eu", []byte("key set"))
		if got, ok := errors.AsType[*kms.KeyError](err); !ok || got.Reason != kms.Unavailable || !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}

type hanging struct{}

func (hanging) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// An answer that never comes leaves time for another attempt.
func TestHangingAttempt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeKMS()
		cfg := f.config(home, f.add(home, "").id)
		cfg.AWS.HTTPClient = &http.Client{Transport: &hangingOnce{RoundTripper: f}}
		if _, err := wrapper(t, cfg).Wrap(t.Context(), "acme-eu", []byte("key set")); err != nil {
			t.Fatal(err)
		}
	})
}

type hangingOnce struct {
	http.RoundTripper

	hung bool
}

func (h *hangingOnce) RoundTrip(r *http.Request) (*http.Response, error) {
	if !h.hung {
		h.hung = true
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	return h.RoundTripper.RoundTrip(r)
}

// Who goes away is not kept, and is told so.
func TestCanceled(t *testing.T) {
	t.Parallel()
	f := newFakeKMS()
	ctx, cancel := context.WithCancel(t.Context())
	f.intercept = func(string, string) (*http.Response, error) {
		cancel()
		return nil, context.Canceled
	}
	_, err := wrapper(t, f.config(home, f.add(home, "").id)).Wrap(ctx, "acme-eu", []byte("key set"))
	if _, keyError := errors.AsType[*kms.KeyError](err); keyError || !errors.Is(err, context.Canceled) || f.total() != 1 {
		t.Errorf("%v after %d calls", err, f.total())
	}
}

// A recipient whose key is disabled is not out of reach: to go on without it would seal what that region cannot open.
func TestRecipientRefused(t *testing.T) {
	t.Parallel()
	f := newFakeKMS()
	k := f.add(standby, "")
	f.refuse(k, "DisabledException", "")
	r, err := kms.NewRecipient(f.config(standby, k.id))
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.Wrap(t.Context(), "acme-eu", []byte("key set"))
	if got, ok := errors.AsType[*kms.KeyError](err); !ok || got.Reason != kms.Disabled || errors.Is(err, seal.ErrUnreachable) {
		t.Error(err)
	}
}
