package embedded

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestRouteKeyIsMadeOnce(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), routeKeyFile)
	ids := make([]string, 16)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			seed, err := loadRouteSeed(path, rand.Reader)
			if err != nil {
				t.Error(err)
			}
			ids[i] = string(seed)
		})
	}
	wg.Wait()
	for _, id := range ids {
		if id == "" || id != ids[0] {
			t.Fatalf("processes that start at once have keys %v", ids)
		}
	}
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) != 1 {
		t.Errorf("%d files are left: %v", len(left), err)
	}
}

func TestRouteKeyIsRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		data string
		mode os.FileMode
		want string
	}{
		"read by others": {strings.Repeat("x", 32), 0o644, "chmod 600"},
		"torn":           {"short", 0o600, "bytes instead of 32"},
		"empty":          {"", 0o600, "bytes instead of 32"},
	} {
		path := filepath.Join(t.TempDir(), routeKeyFile)
		if err := os.WriteFile(path, []byte(c.data), c.mode); err != nil {
			t.Fatal(err)
		}
		if _, err := loadRouteSeed(path, rand.Reader); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v instead of an error with %q", name, err, c.want)
		}
	}
}
