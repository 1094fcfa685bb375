package portal

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// own are the project's scripts and styles, vendored the reference UI, which is compressed: see vendored/fetch.sh.
var (
	//go:embed assets
	own embed.FS
	//go:embed vendored/swagger-ui
	vendored embed.FS
	//go:embed pages
	templates embed.FS
)

// fileSet are the files that pages load. Their common folder is named after their content, so that they may be kept for ever and a page
// never meets those of another release.
type fileSet struct {
	base   string
	byPath map[string]*resource
}

// types by extension.
func typeOf(name string) string {
	switch path.Ext(name) {
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	default:
		return typeText
	}
}

func assets() (*fileSet, error) {
	files := make(map[string]*resource)
	for _, from := range []struct {
		fs   fs.FS
		root string
	}{{own, "assets"}, {vendored, "vendored/swagger-ui"}} {
		if err := readInto(files, from.fs, from.root); err != nil {
			return nil, err
		}
	}
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	var all strings.Builder
	for _, name := range names {
		all.WriteString(name + " " + files[name].tag + "\n")
	}
	set := &fileSet{base: "/docs/assets/" + digest([]byte(all.String())), byPath: make(map[string]*resource, len(files))}
	for name, file := range files {
		set.byPath[set.base+"/"+name] = file
	}
	return set, nil
}

func readInto(files map[string]*resource, from fs.FS, root string) error {
	err := fs.WalkDir(from, root, func(at string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(from, at)
		if err != nil {
			return err //nolint:wrapcheck // said below
		}
		name := strings.TrimPrefix(at, root+"/")
		if bare, ok := strings.CutSuffix(name, ".gz"); ok {
			files[bare] = newGzipped(typeOf(bare), cacheForever, content)
			return nil
		}
		files[name], err = newResource(typeOf(name), cacheForever, content)
		return err
	})
	if err != nil {
		return fmt.Errorf("portal: reading the embedded files: %w", err)
	}
	return nil
}
