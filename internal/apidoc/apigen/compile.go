package apigen

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bufbuild/protocompile"
	"github.com/bufbuild/protocompile/reporter"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/domicile-api/domicile/internal/apidoc"
)

var errNoContracts = errors.New("there is no .proto file")

// contracts are compiled .proto files with their comments.
type contracts struct {
	// files has each file after those that it imports.
	files []protoreflect.FileDescriptor
	// dir is the folder of the product's own files, for positions.
	dir string
	// own tells the product's files from what they import.
	own map[string]bool
}

// compile reads the .proto files of a folder. What they import and the folder does not have is found among the contracts that the
// platform's documents came with, which have comments, and else among the contracts that are linked into this program.
//
// Of the platform's own services those that every product runs are added: they are part of its API.
func compile(ctx context.Context, dir string, platform fs.FS) (*contracts, error) {
	names, err := protoFiles(dir)
	if err != nil {
		return nil, err
	}
	known, err := platformFiles(platform)
	if err != nil {
		return nil, err
	}
	c := &contracts{dir: dir, own: map[string]bool{}}
	for _, name := range names {
		c.own[name] = true
	}
	for name, file := range known {
		if !c.own[name] && slices.Contains(platformPackages, file.GetPackage()) && len(file.GetService()) > 0 {
			names = append(names, name)
		}
	}
	if !c.own[errorsFile] {
		names = append(names, errorsFile)
	}
	slices.Sort(names)
	resolver := protocompile.CompositeResolver{
		&protocompile.SourceResolver{ImportPaths: []string{dir}}, known, protocompile.ResolverFunc(linkedIn),
	}
	compiler := protocompile.Compiler{Resolver: protocompile.WithStandardImports(resolver), SourceInfoMode: protocompile.SourceInfoStandard}
	compiled, err := compiler.Compile(ctx, names...)
	if at, ok := errors.AsType[reporter.ErrorWithPos](err); ok {
		return nil, fmt.Errorf("%s:%d:%d: %w", c.file(at.GetPosition().Filename), at.GetPosition().Line, at.GetPosition().Col, at.Unwrap())
	}
	if err != nil {
		return nil, fmt.Errorf("compiling the contracts of %s: %w", dir, err)
	}
	seen := map[string]bool{}
	for _, file := range compiled {
		c.add(file, seen)
	}
	return c, nil
}

// platformPackages are the packages of the platform's own services that a tenant or an operator calls at a region's port.
//
//nolint:gochecknoglobals // an immutable list
var platformPackages = []string{"domicile.settings.v1", "domicile.tenancy.v1"}

// add appends a file after what it imports.
func (c *contracts) add(file protoreflect.FileDescriptor, seen map[string]bool) {
	if seen[file.Path()] {
		return
	}
	seen[file.Path()] = true
	for i := range file.Imports().Len() {
		c.add(file.Imports().Get(i).FileDescriptor, seen)
	}
	c.files = append(c.files, file)
}

func protoFiles(dir string) ([]string, error) {
	var names []string
	err := filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(name) != ".proto" {
			return err
		}
		relative, err := filepath.Rel(dir, name)
		names = append(names, filepath.ToSlash(relative))
		return err //nolint:wrapcheck // wrapped below
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("looking for contracts: %w", err)
	case len(names) == 0:
		return nil, fmt.Errorf("looking for contracts in %s: %w", dir, errNoContracts)
	}
	return names, nil
}

// described are files by name.
type described map[string]*descriptorpb.FileDescriptorProto

// FindFileByPath implements protocompile.Resolver.
func (d described) FindFileByPath(name string) (protocompile.SearchResult, error) {
	if file, ok := d[name]; ok {
		return protocompile.SearchResult{Proto: file}, nil
	}
	return protocompile.SearchResult{}, fs.ErrNotExist
}

// linkedIn finds the contracts whose generated code is part of this program; they have no comments.
func linkedIn(name string) (protocompile.SearchResult, error) {
	file, err := protoregistry.GlobalFiles.FindFileByPath(name)
	if err != nil {
		return protocompile.SearchResult{}, fs.ErrNotExist
	}
	return protocompile.SearchResult{Proto: protodesc.ToFileDescriptorProto(file)}, nil
}

// platformFiles reads the contracts that documents came with, in all versions.
func platformFiles(documents fs.FS) (described, error) {
	found := described{}
	if documents == nil {
		return found, nil
	}
	names, err := fs.Glob(documents, "v*/"+apidoc.DescriptorsFile)
	if err != nil {
		return nil, fmt.Errorf("looking for the platform's contracts: %w", err)
	}
	for _, name := range names {
		data, err := fs.ReadFile(documents, name)
		if err != nil {
			return nil, fmt.Errorf("reading the platform's contracts: %w", err)
		}
		set := &descriptorpb.FileDescriptorSet{}
		if err := proto.Unmarshal(data, set); err != nil {
			return nil, fmt.Errorf("reading the platform's contracts, %s: %w", name, err)
		}
		for _, file := range set.GetFile() {
			found[file.GetName()] = file
		}
	}
	return found, nil
}

// protoOf returns a file as a message, with its comments.
func protoOf(file protoreflect.FileDescriptor) *descriptorpb.FileDescriptorProto {
	if result, ok := file.(interface {
		FileDescriptorProto() *descriptorpb.FileDescriptorProto
	}); ok {
		return result.FileDescriptorProto()
	}
	return protodesc.ToFileDescriptorProto(file)
}

// position returns where a descriptor stands: "proto/acme/v1/acme.proto:12".
func (c *contracts) position(d protoreflect.Descriptor) string {
	return fmt.Sprintf("%s:%d", c.file(d.ParentFile().Path()), d.ParentFile().SourceLocations().ByDescriptor(d).StartLine+1)
}

// file returns what the user calls a file.
func (c *contracts) file(name string) string {
	if c.own[name] {
		return filepath.ToSlash(filepath.Join(c.dir, name))
	}
	return name
}

// versionOf returns the version that a package is of, its last part.
func versionOf(d protoreflect.Descriptor) string {
	return path.Ext("x." + strings.ReplaceAll(string(d.ParentFile().Package()), "/", "."))[1:]
}
