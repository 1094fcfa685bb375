package codegen

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// Stale returns the files below a folder that are not what was made, sorted: other in content, missing, or, when the template says
// clean, there without having been made.
func (t *Template) Stale(dir string, made map[string][]byte) ([]string, error) {
	var stale []string
	for name, content := range made {
		there, err := os.ReadFile(filepath.Join(dir, name)) //nolint:gosec // below the product's folder
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("comparing code: %w", err)
		}
		if err != nil || !bytes.Equal(there, content) {
			stale = append(stale, name)
		}
	}
	extra, err := t.extra(dir, made)
	if err != nil {
		return nil, err
	}
	stale = append(stale, extra...)
	slices.Sort(stale)
	return slices.Compact(stale), nil
}

// Write makes the files below a folder what was made. It leaves files alone that are so already.
func (t *Template) Write(dir string, made map[string][]byte) (changed []string, err error) {
	if changed, err = t.Stale(dir, made); err != nil {
		return nil, err
	}
	for _, name := range changed {
		path := filepath.Join(dir, name)
		content, wanted := made[name]
		if !wanted {
			if err := os.Remove(path); err != nil {
				return nil, fmt.Errorf("removing code that is made no more: %w", err)
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // source code is for everyone to read
			return nil, fmt.Errorf("writing code: %w", err)
		}
		if err := os.WriteFile(path, content, 0o644); err != nil { //nolint:gosec // the same
			return nil, fmt.Errorf("writing code: %w", err)
		}
	}
	return changed, nil
}

// extra are the files in the folders of the plugins that none of them made.
func (t *Template) extra(dir string, made map[string][]byte) ([]string, error) {
	if !t.Clean {
		return nil, nil
	}
	var extra []string
	for _, p := range t.Plugins {
		root := filepath.Join(dir, p.Out)
		err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) || (err == nil && entry.IsDir()) {
				return nil
			}
			if err != nil {
				return err
			}
			name, err := filepath.Rel(dir, path)
			if _, ok := made[name]; err == nil && !ok {
				extra = append(extra, name)
			}
			return err //nolint:wrapcheck // wrapped below
		})
		if err != nil {
			return nil, fmt.Errorf("looking for code that is made no more: %w", err)
		}
	}
	return extra, nil
}
