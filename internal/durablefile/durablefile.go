// Package durablefile writes small files so that a crash leaves the old or the new content, never a part.
package durablefile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Replace writes a file in the place of what is there.
func Replace(path string, data []byte, mode fs.FileMode) error {
	return write(path, data, mode, os.Rename)
}

// Create writes a file that is not there yet; fs.ErrExist if another was first.
func Create(path string, data []byte, mode fs.FileMode) error {
	return write(path, data, mode, os.Link)
}

// write writes a file under another name and then places it.
func write(path string, data []byte, mode fs.FileMode, place func(from, to string) error) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.tmp")
	if err != nil {
		return fmt.Errorf("making a temporary file: %w", err)
	}
	defer func() { _ = os.Remove(tmp.Name()) }() // Gone already if it was renamed.
	_, err = tmp.Write(data)
	if err == nil {
		err = tmp.Chmod(mode)
	}
	if err == nil {
		err = tmp.Sync()
	}
	if err := errors.Join(err, tmp.Close()); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	// Also another's file may be relied on only when its name is durable.
	placed := place(tmp.Name(), path)
	if placed != nil {
		placed = fmt.Errorf("placing %s: %w", path, placed)
	}
	if placed != nil && !errors.Is(placed, fs.ErrExist) {
		return placed
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("opening the folder of %s: %w", path, err)
	}
	if err := errors.Join(dir.Sync(), dir.Close()); err != nil {
		return fmt.Errorf("syncing the folder of %s: %w", path, err)
	}
	return placed
}
