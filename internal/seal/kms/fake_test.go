package kms_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/seal/kms"
)

const (
	home    ident.RegionID = "eu-central-1"
	standby ident.RegionID = "eu-west-1"
)

// fakeKMS is a transport that answers for KMS in all regions: Encrypt, Decrypt and DescribeKey of symmetric keys as the API reference
// has them, with AES-GCM and the encryption context as its associated data.
type fakeKMS struct {
	mu   sync.Mutex
	keys map[string]*fakeKey // by id
	// calls counts by region and operation, e.g. "eu-west-1 Encrypt".
	calls map[string]int
	// context is the encryption context of the last call that had one. lax makes it count for nothing.
	context map[string]string
	lax     bool
	// intercept, when not nil, may answer in the place of KMS.
	intercept func(region, operation string) (*http.Response, error)
}

type fakeKey struct {
	id, alias, region string
	aead              cipher.AEAD
	// refusal is the code and message with which the key refuses to be used; empty: it does not.
	code, message string
	describe      map[string]any
}

func newFakeKMS() *fakeKMS {
	return &fakeKMS{keys: make(map[string]*fakeKey), calls: make(map[string]int)}
}

// add makes a key of a region.
func (f *fakeKMS) add(region ident.RegionID, alias string) *fakeKey {
	var secret [32]byte
	_, _ = rand.Read(secret[:])
	block, err := aes.NewCipher(secret[:])
	if err != nil {
		panic(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	k := &fakeKey{id: fmt.Sprintf("00000000-0000-0000-0000-%012d", len(f.keys)), alias: alias, region: string(region), aead: aead}
	k.describe = map[string]any{
		"KeyId": k.id, "Arn": k.arn(), "KeyState": "Enabled", "KeyUsage": "ENCRYPT_DECRYPT", "KeySpec": "SYMMETRIC_DEFAULT", "MultiRegion": false,
	}
	f.keys[k.id] = k
	return k
}

func (k *fakeKey) arn() string { return "arn:aws:kms:" + k.region + ":111122223333:key/" + k.id }

func (k *fakeKey) named(name string) bool {
	return name == k.id || name == k.arn() || k.alias != "" && (name == k.alias || strings.HasSuffix(name, ":"+k.region+":111122223333:"+k.alias))
}

func (f *fakeKMS) count(region ident.RegionID, operation string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[string(region)+" "+operation]
}

func (f *fakeKMS) total() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, c := range f.calls {
		n += c
	}
	return n
}

func (f *fakeKMS) refuse(k *fakeKey, code, message string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	k.code, k.message = code, message
}

// RoundTrip implements http.RoundTripper.
func (f *fakeKMS) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Context().Err() != nil {
		return nil, r.Context().Err()
	}
	region := strings.TrimSuffix(strings.TrimPrefix(r.URL.Host, "kms."), ".amazonaws.com")
	operation := strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "TrentService.")
	f.mu.Lock()
	f.calls[region+" "+operation]++
	intercept := f.intercept
	f.mu.Unlock()
	if intercept != nil {
		if response, err := intercept(region, operation); response != nil || err != nil {
			return response, err
		}
	}
	var in request
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil { //nolint:musttag // the fields are named as KMS names them
		return nil, fmt.Errorf("the fake KMS got no JSON: %w", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.answer(region, operation, in)
}

type request struct {
	KeyId             string
	Plaintext         []byte
	CiphertextBlob    []byte
	EncryptionContext map[string]string
}

func (f *fakeKMS) answer(region, operation string, in request) (*http.Response, error) {
	var k *fakeKey
	for _, candidate := range f.keys {
		if candidate.region == region && candidate.named(in.KeyId) {
			k = candidate
		}
	}
	if k == nil {
		return answer(http.StatusBadRequest, map[string]any{"__type": "NotFoundException", "message": "Key " + in.KeyId + " does not exist"}), nil
	}
	if operation == "DescribeKey" {
		return answer(http.StatusOK, map[string]any{"KeyMetadata": k.describe}), nil
	}
	if k.code != "" {
		return answer(http.StatusBadRequest, map[string]any{"__type": k.code, "message": k.message}), nil
	}
	f.context = in.EncryptionContext
	if f.lax {
		in.EncryptionContext = nil
	}
	associated, err := json.Marshal(in.EncryptionContext) // Go sorts the keys.
	if err != nil {
		return nil, errors.New("the fake KMS cannot sort")
	}
	switch operation {
	case "Encrypt":
		nonce := make([]byte, 12)
		_, _ = rand.Read(nonce)
		blob := k.aead.Seal(append([]byte(k.id), nonce...), nonce, in.Plaintext, associated)
		return answer(http.StatusOK, map[string]any{"KeyId": k.arn(), "CiphertextBlob": blob}), nil
	case "Decrypt":
		return f.decrypt(k, in.CiphertextBlob, associated), nil
	}
	return nil, errors.New("the fake KMS does not know " + operation)
}

func (f *fakeKMS) decrypt(k *fakeKey, blob, associated []byte) *http.Response {
	code := "InvalidCiphertextException"
	if len(blob) > 36+12 {
		if id := string(blob[:36]); id == k.id {
			plain, err := k.aead.Open(nil, blob[36:48], blob[48:], associated)
			if err == nil {
				return answer(http.StatusOK, map[string]any{"KeyId": k.arn(), "Plaintext": plain})
			}
		} else if other := f.keys[id]; other != nil && other.region == k.region {
			code = "IncorrectKeyException"
		}
	}
	return answer(http.StatusBadRequest, map[string]any{"__type": code})
}

// answer is a response as KMS makes them.
func answer(status int, body map[string]any) *http.Response {
	text, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	return &http.Response{
		StatusCode: status, Status: http.StatusText(status), ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {"application/x-amz-json-1.1"}, "X-Amzn-Requestid": {"5d1f3f0e"}},
		Body:   io.NopCloser(bytes.NewReader(text)), ContentLength: int64(len(text)),
	}
}

// config names a key to a Wrapper over the fake.
func (f *fakeKMS) config(region ident.RegionID, key string) kms.Config {
	return kms.Config{
		Deployment: "domicile", Region: region, Key: key,
		AWS: aws.Config{
			HTTPClient:  &http.Client{Transport: f},
			Credentials: aws.NewCredentialsCache(staticCredentials{}),
		},
	}
}

type staticCredentials struct{}

func wrapper(t testing.TB, cfg kms.Config) *kms.Wrapper {
	t.Helper()
	w, err := kms.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return w
}
