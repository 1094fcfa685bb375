package s3snapshot

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// spool is a file without a name, through which a snapshot passes.
type spool struct {
	file *os.File
	size int64
}

func (c *Copy) newSpool() (*spool, error) {
	file, err := os.CreateTemp(c.cfg.Dir, "directory-*.snapshot")
	if err != nil {
		return nil, fmt.Errorf("making a file for a snapshot: %w", err)
	}
	// It stays until it is closed, also by the end of the process.
	if err := os.Remove(file.Name()); err != nil {
		return nil, errors.Join(fmt.Errorf("hiding the file for a snapshot: %w", err), file.Close())
	}
	return &spool{file: file}, nil
}

// fill replaces the content.
func (s *spool) fill(write func(io.Writer) error) error {
	if err := s.file.Truncate(0); err != nil {
		return fmt.Errorf("emptying the file for a snapshot: %w", err)
	}
	if err := s.rewind(); err != nil {
		return err
	}
	if err := write(s.file); err != nil {
		return fmt.Errorf("filling the file for a snapshot: %w", err)
	}
	info, err := s.file.Stat()
	if err != nil {
		return fmt.Errorf("measuring a snapshot: %w", err)
	}
	s.size = info.Size()
	return nil
}

func (s *spool) rewind() error {
	if _, err := s.file.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("going back to the beginning of a snapshot: %w", err)
	}
	return nil
}

func (s *spool) close() error {
	if err := s.file.Close(); err != nil {
		return fmt.Errorf("closing the file for a snapshot: %w", err)
	}
	return nil
}
