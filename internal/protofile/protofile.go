// Package protofile compiles .proto files for the commands that write or run something from them. It needs no tool besides: the
// contracts that a product's files import are those that are linked in, unless the product has the files itself.
//
// It promises that every refusal says file, line and column, all of them at once, in the order of the files.
package protofile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bufbuild/protocompile"
	"github.com/bufbuild/protocompile/linker"
	"github.com/bufbuild/protocompile/reporter"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// Set is the .proto files below some folders, each known by its path from there, as an import names it.
type Set struct {
	files   map[string]file
	imports []string
}

// file is a file of the set.
type file struct {
	name string // as the user calls it
	text string
}

// Read reads all .proto files below the roots. What they import may lie below other folders. It fails when there are none, and
// when two have one path.
func Read(roots, imports []string) (*Set, error) {
	s := &Set{imports: imports, files: map[string]file{}}
	for _, root := range roots {
		if err := s.readRoot(root); err != nil {
			return nil, err
		}
	}
	if len(s.files) == 0 {
		return nil, fmt.Errorf("there is no .proto file below %s", strings.Join(roots, ", "))
	}
	return s, nil
}

func (s *Set) readRoot(root string) error {
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(name) != ".proto" {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err //nolint:wrapcheck // wrapped below
		}
		path := filepath.ToSlash(rel)
		if other, twice := s.files[path]; twice {
			return fmt.Errorf("%s and %s would be imported by one name, %q", other.name, name, path)
		}
		text, err := os.ReadFile(name) //nolint:gosec // the user names the folder
		s.files[path] = file{name: name, text: string(text)}
		return err //nolint:wrapcheck // wrapped below
	})
	if err != nil {
		return fmt.Errorf("reading contracts: %w", err)
	}
	return nil
}

// Paths are the paths of all files, sorted.
func (s *Set) Paths() []string {
	paths := make([]string, 0, len(s.files))
	for path := range s.files {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	return paths
}

// Text is what a file has.
func (s *Set) Text(path string) string { return s.files[path].text }

// Name is how the user calls a file: with its root.
func (s *Set) Name(path string) string {
	if f, ok := s.files[path]; ok {
		return f.name
	}
	return path
}

// With returns the same set with other texts for some of its files.
func (s *Set) With(texts map[string]string) *Set {
	changed := &Set{imports: s.imports, files: make(map[string]file, len(s.files))}
	for path, f := range s.files {
		if text, ok := texts[path]; ok {
			f.text = text
		}
		changed.files[path] = f
	}
	return changed
}

// Compile makes descriptors of files of the set, with comments and positions. What they import comes from the set, then from the
// folders of imports, and else from what is linked in.
func (s *Set) Compile(ctx context.Context, paths ...string) (linker.Files, error) {
	var problems []error
	compiler := protocompile.Compiler{
		Resolver:       protocompile.WithStandardImports(s.resolver()),
		SourceInfoMode: protocompile.SourceInfoStandard,
		MaxParallelism: 1, // so that the order of the problems is that of the files
		Reporter: reporter.NewReporter(func(err reporter.ErrorWithPos) error {
			problems = append(problems, s.Locate(err))
			return nil
		}, nil),
	}
	files, err := compiler.Compile(ctx, paths...)
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	if at, ok := errors.AsType[reporter.ErrorWithPos](err); ok {
		return nil, s.Locate(at)
	}
	if err != nil {
		return nil, fmt.Errorf("compiling the contracts: %w", err)
	}
	return files, nil
}

// Locate words an error of the compiler with the file's name as the user calls it.
func (s *Set) Locate(err reporter.ErrorWithPos) error {
	at := err.GetPosition()
	return fmt.Errorf("%s:%d:%d: %w", s.Name(at.Filename), at.Line, at.Col, err.Unwrap())
}

// At says where a descriptor stands: file, line and column.
func (s *Set) At(d protoreflect.Descriptor) string {
	path := d.ParentFile().Path()
	location := d.ParentFile().SourceLocations().ByDescriptor(d)
	return fmt.Sprintf("%s:%d:%d", s.Name(path), location.StartLine+1, location.StartColumn+1)
}

func (s *Set) resolver() protocompile.Resolver {
	all := protocompile.CompositeResolver{protocompile.ResolverFunc(s.find)}
	if len(s.imports) > 0 { // without any, it would look in the working folder
		all = append(all, &protocompile.SourceResolver{ImportPaths: s.imports})
	}
	return append(all, protocompile.ResolverFunc(linked))
}

func (s *Set) find(path string) (protocompile.SearchResult, error) {
	f, ok := s.files[path]
	if !ok {
		return protocompile.SearchResult{}, protoregistry.NotFound
	}
	return protocompile.SearchResult{Source: io.Reader(strings.NewReader(f.text))}, nil
}

// linked finds a file among those that the binary was built with: the platform's contracts and what they import.
func linked(path string) (protocompile.SearchResult, error) {
	f, err := protoregistry.GlobalFiles.FindFileByPath(path)
	if err != nil {
		return protocompile.SearchResult{}, fmt.Errorf("%s: %w", path, err)
	}
	return protocompile.SearchResult{Proto: protodesc.ToFileDescriptorProto(f)}, nil
}
