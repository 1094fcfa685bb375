package embedded

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/domicile-api/domicile/internal/durablefile"
)

// loadRouteSeed reads the seed of the region's route key, or makes it. The file holds the 32-byte seed and nothing else. Of two processes that start
// at once on a new folder, the one that comes second takes the other's key.
func loadRouteSeed(path string, random io.Reader) ([]byte, error) {
	seed, err := readRouteKey(path)
	if errors.Is(err, fs.ErrNotExist) {
		made := make([]byte, ed25519.SeedSize)
		if _, err := io.ReadFull(random, made); err != nil {
			return nil, fmt.Errorf("making a route key: %w", err)
		}
		if err := durablefile.Create(path, made, 0o600); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("keeping the route key: %w", err)
		}
		seed, err = readRouteKey(path)
	}
	return seed, err
}

// readRouteKey refuses a file that others may read, or that is no key.
func readRouteKey(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("reading the route key: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("the route key %s can be read by others; chmod 600 it, and if it may have leaked, remove it to make a new one", path)
	}
	seed, err := os.ReadFile(path) //nolint:gosec // A file of the region's own data folder.
	if err != nil {
		return nil, fmt.Errorf("reading the route key: %w", err)
	}
	if len(seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("the route key %s has %d bytes instead of %d; remove the file to make a new key", path, len(seed), ed25519.SeedSize)
	}
	return seed, nil
}
