package peer

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/domicile-api/domicile/internal/durablefile"
	"github.com/domicile-api/domicile/internal/routeheader"
)

const (
	// keyName is the file of a region's data folder with its private key: the 32-byte seed and nothing else, mode 0600.
	keyName = "peer.key"
	// publicName is the file with its public keys, a line each in standard base64, the newest first.
	publicName = "peer.pub"
	// maxPublic is how many keys of a region are trusted at once.
	maxPublic = 4
	// maxPublicFile bounds what is read of a file of public keys, comments included.
	maxPublicFile = 8 << 10
	folderMode    = 0o700
)

// Key is what a region signs its calls with.
type Key struct {
	id      string
	private ed25519.PrivateKey
}

// NewKey returns the key of a seed of ed25519.SeedSize bytes; like ed25519.NewKeyFromSeed, it panics at another size.
func NewKey(seed []byte) *Key {
	key := &Key{private: ed25519.NewKeyFromSeed(seed)}
	key.id = routeheader.KeyID(key.Public())
	return key
}

// Seed returns what NewKey makes the key of.
func (k *Key) Seed() []byte { return k.private.Seed() }

// ID names the key by its content.
func (k *Key) ID() string { return k.id }

// Public returns the public half, which is GLOBAL.
func (k *Key) Public() ed25519.PublicKey {
	return k.private.Public().(ed25519.PublicKey) //nolint:forcetypeassert // The type is given by crypto/ed25519.
}

// LoadKey reads the key of a region from its data folder, or makes it, and the folder, if there is none. Of two processes that start at
// once on a new folder both use one key. The public half is put first into peer.pub, where the keys before it stay: until their lines
// are taken away, calls that are signed with them are accepted. So a key is replaced by moving peer.key away and starting again.
//
// A key file that others may read is refused.
func LoadKey(dir string, random io.Reader) (*Key, error) {
	if err := os.MkdirAll(dir, folderMode); err != nil {
		return nil, fmt.Errorf("making the folder of the peer key: %w", err)
	}
	path := filepath.Join(dir, keyName)
	seed, err := readSeed(path)
	if errors.Is(err, fs.ErrNotExist) {
		made := make([]byte, ed25519.SeedSize)
		if _, err := io.ReadFull(random, made); err != nil {
			return nil, fmt.Errorf("making a peer key: %w", err)
		}
		// A link, unlike a rename, does not replace the file of a process that was faster.
		if err := durablefile.Create(path, made, 0o600); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("keeping the peer key: %w", err)
		}
		seed, err = readSeed(path)
	}
	if err != nil {
		return nil, err
	}
	key := NewKey(seed)
	return key, publish(filepath.Join(dir, publicName), key.Public())
}

func readSeed(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("reading the peer key: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("the peer key %s can be read by others; chmod 600 it, and if it may have leaked, remove it to make a new one", path)
	}
	seed, err := os.ReadFile(path) //nolint:gosec // A file of the region's own data folder.
	if err != nil {
		return nil, fmt.Errorf("reading the peer key: %w", err)
	}
	if len(seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("the peer key %s has %d bytes instead of %d; remove the file to make a new key", path, len(seed), ed25519.SeedSize)
	}
	return seed, nil
}

// publish makes a key the first of a file of public keys, and keeps those that were there.
func publish(path string, key ed25519.PublicKey) error {
	have, err := readPublic(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if len(have) > 0 && have[0].Equal(key) {
		return nil
	}
	keys := []ed25519.PublicKey{key}
	for _, old := range have {
		if !old.Equal(key) {
			keys = append(keys, old)
		}
	}
	var text strings.Builder
	for _, k := range keys[:min(len(keys), maxPublic)] {
		text.WriteString(base64.StdEncoding.EncodeToString(k) + "\n")
	}
	if err := durablefile.Replace(path, []byte(text.String()), 0o644); err != nil {
		return fmt.Errorf("publishing the peer key: %w", err)
	}
	return nil
}

// readPublic reads a file of public keys. Empty lines and lines that begin with "#" say nothing; other lines that are no keys are an
// error.
func readPublic(path string) ([]ed25519.PublicKey, error) {
	file, err := os.Open(path) //nolint:gosec // The folder is the operator's, the region one of the topology.
	if err != nil {
		return nil, fmt.Errorf("reading public keys: %w", err)
	}
	defer func() { _ = file.Close() }() // Only read.
	text, err := io.ReadAll(io.LimitReader(file, maxPublicFile+1))
	if err != nil {
		return nil, fmt.Errorf("reading public keys: %w", err)
	}
	if len(text) > maxPublicFile {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, maxPublicFile)
	}
	var keys []ed25519.PublicKey
	for line := range bytes.Lines(text) {
		trimmed := strings.TrimSpace(string(line))
		if trimmed == "" || strings.HasPrefix(trimmed, "#") {
			continue
		}
		key, err := base64.StdEncoding.Strict().DecodeString(trimmed)
		if err != nil || len(key) != ed25519.PublicKeySize {
			return nil, fmt.Errorf("%s has a line that is no Ed25519 public key in base64", path)
		}
		keys = append(keys, key)
	}
	return slices.Clip(keys[:min(len(keys), maxPublic)]), nil
}
