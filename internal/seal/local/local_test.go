package local_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/seal"
	"github.com/domicile-api/domicile/internal/seal/local"
	"github.com/domicile-api/domicile/internal/seal/sealtest"
)

const region ident.RegionID = "eu-central-1"

func TestWrapper(t *testing.T) {
	t.Parallel()
	sealtest.RunWrapper(t, func(t testing.TB, region ident.RegionID) seal.Wrapper {
		t.Helper()
		return open(t, t.TempDir(), region)
	})
}

func open(t testing.TB, dir string, region ident.RegionID) *local.Wrapper {
	t.Helper()
	w, err := local.Open(dir, region)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func files(t *testing.T, dir string) (private, public string) {
	t.Helper()
	private, public = filepath.Join(dir, "seal.key"), filepath.Join(dir, "seal.pub")
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Fatalf("the folder has %v, %v; want the two files alone", entries, err)
	}
	return private, public
}

// TestKeyLasts: a second start has the same key, and only its owner may read the file.
func TestKeyLasts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := open(t, dir, region)
	wrapped, err := first.Wrap(t.Context(), "acme-eu", []byte("key set"))
	if err != nil {
		t.Fatal(err)
	}
	private, _ := files(t, dir)
	info, err := os.Stat(private)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key file has mode %v, %v", info.Mode(), err)
	}
	second := open(t, dir, region)
	if plain, err := second.Unwrap(t.Context(), "acme-eu", wrapped); err != nil || string(plain) != "key set" {
		t.Errorf("after a restart: %q, %v", plain, err)
	}
	if !bytes.Equal(first.Public(), second.Public()) {
		t.Error("the public half has changed")
	}
	files(t, dir)
}

// TestRecipient: the public half alone wraps for a region, and holds nothing to unwrap with.
func TestRecipient(t *testing.T) {
	t.Parallel()
	w := open(t, t.TempDir(), region)
	recipient, err := local.NewRecipient(region, w.Public())
	if err != nil {
		t.Fatal(err)
	}
	wrapped, err := recipient.Wrap(t.Context(), "acme-eu", []byte("key set"))
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := w.Unwrap(t.Context(), "acme-eu", wrapped); err != nil || string(plain) != "key set" {
		t.Errorf("Unwrap = %q, %v", plain, err)
	}
	misnamed, err := local.NewRecipient("eu-west-1", w.Public())
	if err != nil {
		t.Fatal(err)
	}
	if wrapped, err = misnamed.Wrap(t.Context(), "acme-eu", []byte("key set")); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Unwrap(t.Context(), "acme-eu", wrapped); !errors.Is(err, seal.ErrCannotOpen) {
		t.Errorf("what was wrapped for another region's name opens: %v", err)
	}
	for _, bad := range [][]byte{nil, []byte("no key set"), w.Public()[:20]} {
		if _, err := local.NewRecipient(region, bad); err == nil {
			t.Errorf("NewRecipient takes %d bytes that are no key", len(bad))
		}
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		spoil func(t *testing.T, private, public string)
		as    ident.RegionID
		want  error
		says  string
	}{
		"readable by others": {func(t *testing.T, private, _ string) { t.Helper(); chmod(t, private, 0o640) }, region, local.ErrExposed, "chmod 600"},
		"writable by others": {func(t *testing.T, private, _ string) { t.Helper(); chmod(t, private, 0o602) }, region, local.ErrExposed, "0602"},
		"torn": {func(t *testing.T, private, _ string) {
			t.Helper()
			edit(t, private, func(b []byte) []byte { return b[:len(b)/2] })
		}, region, local.ErrDamaged, "Restore"},
		"empty": {func(t *testing.T, private, _ string) {
			t.Helper()
			edit(t, private, func([]byte) []byte { return nil })
		}, region, local.ErrDamaged, ""},
		"zeros": {func(t *testing.T, private, _ string) {
			t.Helper()
			edit(t, private, func(b []byte) []byte { return make([]byte, len(b)) })
		}, region, local.ErrDamaged, ""},
		"the public half":  {func(t *testing.T, private, public string) { t.Helper(); replace(t, private, public) }, region, local.ErrDamaged, ""},
		"another region's": {func(*testing.T, string, string) {}, "us-east-1", local.ErrForeign, string(region)},
		"lost":             {func(t *testing.T, private, _ string) { t.Helper(); remove(t, private) }, region, local.ErrLost, "Restore"},
		"a folder": {func(t *testing.T, private, _ string) {
			t.Helper()
			remove(t, private)
			if err := os.Mkdir(private, 0o700); err != nil {
				t.Fatal(err)
			}
		}, region, local.ErrDamaged, "not a file"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			open(t, dir, region)
			private, public := files(t, dir)
			secret, err := os.ReadFile(private)
			if err != nil {
				t.Fatal(err)
			}
			tc.spoil(t, private, public)
			before, beforeErr := os.ReadFile(private)
			_, err = local.Open(dir, tc.as)
			if !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("Open: %v; want %v that says %q", err, tc.want, tc.says)
			}
			if err != nil && strings.Contains(err.Error(), keysetOf(t, secret)[:16]) {
				t.Error("the error shows the key")
			}
			if after, afterErr := os.ReadFile(private); !bytes.Equal(before, after) || (beforeErr == nil) != (afterErr == nil) {
				t.Error("Open changed a key file that it refuses")
			}
		})
	}
}

// TestAnyAlteredByteIsFound alters each byte of the key file. What Open accepts must still be the same key.
func TestAnyAlteredByteIsFound(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := open(t, dir, region)
	private, _ := files(t, dir)
	content, err := os.ReadFile(private)
	if err != nil {
		t.Fatal(err)
	}
	for i := range content {
		edit(t, private, func([]byte) []byte {
			altered := bytes.Clone(content)
			altered[i] ^= 0x01
			return altered
		})
		got, err := local.Open(dir, region)
		switch {
		case err == nil && !bytes.Equal(got.Public(), w.Public()):
			t.Fatalf("byte %d altered: another key", i)
		case err != nil && !errors.Is(err, local.ErrDamaged):
			t.Fatalf("byte %d altered: %v", i, err)
		}
	}
}

// TestPublicIsMadeAgain: the public half follows from the private one, so a torn or missing file is no loss.
func TestPublicIsMadeAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := open(t, dir, region)
	_, public := files(t, dir)
	want, err := os.ReadFile(public)
	if err != nil {
		t.Fatal(err)
	}
	for _, spoil := range []func(){
		func() { remove(t, public) },
		func() { edit(t, public, func(b []byte) []byte { return b[:10] }) },
	} {
		spoil()
		if again := open(t, dir, region); !bytes.Equal(again.Public(), w.Public()) {
			t.Error("another public half")
		}
		if got, err := os.ReadFile(public); err != nil || !bytes.Equal(got, want) {
			t.Errorf("the public file is not as it was: %v", err)
		}
	}
}

// TestMadeAtOnce: processes that start at once on an empty folder have one key.
func TestMadeAtOnce(t *testing.T) {
	t.Parallel()
	for range 20 {
		dir := t.TempDir()
		var group sync.WaitGroup
		wrappers, errs := make([]*local.Wrapper, 8), make([]error, 8)
		for i := range wrappers {
			group.Go(func() { wrappers[i], errs[i] = local.Open(dir, region) })
		}
		group.Wait()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		for _, w := range wrappers {
			if !bytes.Equal(w.Public(), wrappers[0].Public()) {
				t.Fatal("two processes made two keys")
			}
		}
		files(t, dir)
	}
}

func TestFolderMustExist(t *testing.T) {
	t.Parallel()
	if _, err := local.Open(filepath.Join(t.TempDir(), "missing"), region); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Open: %v", err)
	}
}

func keysetOf(t *testing.T, content []byte) string {
	t.Helper()
	var file struct {
		Keyset string `json:"keyset"`
	}
	if err := json.Unmarshal(content, &file); err != nil || len(file.Keyset) < 16 {
		t.Fatalf("the key file has no key set: %v", err)
	}
	return file.Keyset
}

func chmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

func edit(t *testing.T, path string, change func([]byte) []byte) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, change(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func replace(t *testing.T, path, by string) {
	t.Helper()
	edit(t, path, func([]byte) []byte {
		content, err := os.ReadFile(by)
		if err != nil {
			t.Fatal(err)
		}
		return content
	})
}
