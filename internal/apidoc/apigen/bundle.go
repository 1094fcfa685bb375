package apigen

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/domicile-api/domicile/internal/apidoc"
)

// bundle makes a ZIP file of the texts of contracts. Protobuf's own, which every compiler has, are left out.
//
// A text is looked for in the folder of the contracts, then in the folders of imports, then in the bundles that the platform's documents
// came with. Files in it have no time, so that equal contracts are equal bytes.
func (g *generation) bundle(files []protoreflect.FileDescriptor) ([]byte, error) {
	folders := []fs.FS{os.DirFS(g.cfg.Contracts)}
	for _, dir := range g.cfg.Imports {
		if _, err := os.Stat(dir); err != nil {
			return nil, fmt.Errorf("bundling the contracts: a folder of imports: %w", err)
		}
		folders = append(folders, os.DirFS(dir))
	}
	platform, err := bundles(g.cfg.Platform)
	if err != nil {
		return nil, err
	}
	folders = append(folders, platform...)
	var out bytes.Buffer
	archive := zip.NewWriter(&out)
	for _, file := range files {
		if strings.HasPrefix(file.Path(), "google/protobuf/") {
			continue
		}
		text, err := textOf(folders, file.Path())
		if err != nil {
			return nil, err
		}
		w, err := archive.CreateHeader(&zip.FileHeader{Name: filepath.ToSlash(file.Path()), Method: zip.Deflate})
		if err == nil {
			_, err = w.Write(text)
		}
		if err != nil {
			return nil, fmt.Errorf("bundling %s: %w", file.Path(), err)
		}
	}
	if err := archive.Close(); err != nil {
		return nil, fmt.Errorf("bundling the contracts: %w", err)
	}
	return out.Bytes(), nil
}

func textOf(folders []fs.FS, name string) ([]byte, error) {
	for _, folder := range folders {
		text, err := fs.ReadFile(folder, name)
		if err == nil {
			return text, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("bundling %s: %w", name, err)
		}
	}
	return nil, fmt.Errorf("bundling %s: %w; name the folder that has it by --import", name, fs.ErrNotExist)
}

// bundles opens the bundles among documents.
func bundles(documents fs.FS) ([]fs.FS, error) {
	if documents == nil {
		return nil, nil
	}
	names, err := fs.Glob(documents, "v*/"+apidoc.BundleFile)
	if err != nil {
		return nil, fmt.Errorf("looking for the platform's contracts: %w", err)
	}
	var found []fs.FS
	for _, name := range names {
		data, err := readAll(documents, name)
		if err != nil {
			return nil, err
		}
		archive, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			return nil, fmt.Errorf("reading the platform's contracts, %s: %w", name, err)
		}
		found = append(found, archive)
	}
	return found, nil
}

func readAll(files fs.FS, name string) ([]byte, error) {
	file, err := files.Open(name)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	data, err := io.ReadAll(file)
	if err := errors.Join(err, file.Close()); err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	return data, nil
}
