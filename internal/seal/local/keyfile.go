package local

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/domicile-api/domicile/internal/durablefile"
	"github.com/domicile-api/domicile/internal/ident"
)

const (
	// privateName is the file with the region's key, mode 0600.
	privateName = "seal.key"
	// publicName is the file with its public half, for people and tools to publish. It also shows that there was a key.
	publicName = "seal.pub"

	privateFormat = "domicile private sealing key v1"
	publicFormat  = "domicile public sealing key v1"

	// maxFile bounds what is read; a key set has a few hundred bytes.
	maxFile = 64 << 10
)

// Errors of Open.
var (
	// ErrDamaged says that the key file is torn or altered: restore it.
	ErrDamaged = errors.New("local: the region's key file is damaged")
	// ErrForeign says that the key file belongs to another region.
	ErrForeign = errors.New("local: the key file is another region's")
	// ErrExposed says that others than its owner may read or change the key file.
	ErrExposed = errors.New("local: the key file is open to others")
	// ErrLost says that there was a key and its file is gone: restore it, for nothing that is stored opens without it.
	ErrLost = errors.New("local: the region's key file is missing")
)

// keyFile is the content of both files, as JSON.
type keyFile struct {
	Format string         `json:"format"`
	Region ident.RegionID `json:"region"`
	Keyset []byte         `json:"keyset"`
	// Sum is SHA-256 of what is above it, to tell a torn file from a wrong one.
	Sum []byte `json:"sum"`
}

func (f *keyFile) checksum() []byte {
	h := sha256.New()
	for _, part := range [][]byte{[]byte(f.Format), []byte(f.Region), f.Keyset} {
		_, _ = fmt.Fprintf(h, "%d:", len(part)) // A hash does not fail.
		_, _ = h.Write(part)
	}
	return h.Sum(nil)
}

func keyPath(dir string) string { return filepath.Join(dir, privateName) }

// loadOrCreate returns the private key set of the folder.
func loadOrCreate(dir string, region ident.RegionID) ([]byte, error) {
	// Looked at before the private half, which is always made before it, also by a process that starts now.
	_, public := os.Lstat(filepath.Join(dir, publicName))
	private, err := load(dir, region)
	if !errors.Is(err, fs.ErrNotExist) {
		return private, err
	}
	if !errors.Is(public, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s; %s shows that there was one. Restore it from a backup; to give up what is stored, "+
			"remove the region's data folder", ErrLost, keyPath(dir), publicName)
	}
	fresh, err := newKey()
	if err != nil {
		return nil, err
	}
	defer clear(fresh)
	if err := create(keyPath(dir), keyFile{Format: privateFormat, Region: region, Keyset: fresh}); err != nil {
		return nil, err
	}
	// Read back: if another process was faster, its key is the region's.
	return load(dir, region)
}

func load(dir string, region ident.RegionID) ([]byte, error) {
	path := keyPath(dir)
	file, err := os.Open(path) //nolint:gosec // the folder is the operator's choice
	if err != nil {
		return nil, fmt.Errorf("opening the region's key: %w", err)
	}
	defer func() { _ = file.Close() }() // Only read.
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("looking at the region's key: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: %s is not a file", ErrDamaged, path)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("%w: %s has mode %04o. Run: chmod 600 %s", ErrExposed, path, mode, path)
	}
	text, err := io.ReadAll(io.LimitReader(file, maxFile))
	if err != nil {
		return nil, fmt.Errorf("reading the region's key: %w", err)
	}
	defer clear(text)
	content, err := parse(text, privateFormat)
	if err != nil {
		return nil, fmt.Errorf("%w: %s. Restore it from a backup", err, path)
	}
	if content.Region != region {
		return nil, fmt.Errorf("%w: %s is of region %s, this is %s. Each region has a data folder of its own", ErrForeign, path, content.Region, region)
	}
	return content.Keyset, nil
}

// parse reads the content of a file of one of the two formats.
func parse(text []byte, format string) (keyFile, error) {
	var content keyFile
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&content); err != nil {
		// The decoder's error is not kept: it may quote the file.
		return keyFile{}, ErrDamaged
	}
	if content.Format != format || subtle.ConstantTimeCompare(content.Sum, content.checksum()) != 1 {
		return keyFile{}, ErrDamaged
	}
	return content, nil
}

// keepPublic writes the public half beside the private one, unless it is there.
func keepPublic(dir string, region ident.RegionID, public []byte) error {
	path := filepath.Join(dir, publicName)
	text, err := os.ReadFile(path) //nolint:gosec // the folder is the operator's choice
	if err == nil {
		content, err := parse(text, publicFormat)
		if err == nil && content.Region == region && bytes.Equal(content.Keyset, public) {
			return nil
		}
		// It is made from the private half, so a torn or old one is simply made again.
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("replacing the region's public key: %w", err)
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("reading the region's public key: %w", err)
	}
	return create(path, keyFile{Format: publicFormat, Region: region, Keyset: public})
}

// create makes a file that is durable and whole when it appears, and leaves one that is there as it is.
func create(path string, content keyFile) error {
	content.Sum = content.checksum()
	text, err := json.MarshalIndent(content, "", "  ")
	if err != nil {
		return fmt.Errorf("serializing %s: %w", path, err)
	}
	text = append(text, '\n')
	defer clear(text)
	// The file of a process that was faster stays.
	if err := durablefile.Create(path, text, 0o600); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}
