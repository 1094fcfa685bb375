package scaffold

import (
	"fmt"
	"io/fs"
	"path"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	_ "github.com/domicile-api/domicile/gen/domicile/policy/v1" // found by name
	"github.com/domicile-api/domicile/proto"
	"github.com/domicile-api/domicile/third_party"
)

// public are the platform's contracts that products import.
func public() []string { return []string{"domicile/policy/v1/policy.proto"} }

// Contracts are the .proto files of others that a product's contracts import, by path below third_party. They are those of the version
// of Domicile that this was built from.
func Contracts() (map[string][]byte, error) {
	files := map[string][]byte{}
	err := fs.WalkDir(thirdparty.Files, ".", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			files[name], err = thirdparty.Files.ReadFile(name)
		}
		return err //nolint:wrapcheck // wrapped below
	})
	if err != nil {
		return nil, fmt.Errorf("reading contracts: %w", err)
	}
	for _, name := range public() {
		if err := addContract(files, name); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// addContract adds a contract of the platform, and those that it imports.
func addContract(files map[string][]byte, name string) error {
	text, err := proto.Files.ReadFile(name)
	if err != nil {
		return fmt.Errorf("reading a contract: %w", err)
	}
	files[path.Join("domicile", name)] = text
	file, err := protoregistry.GlobalFiles.FindFileByPath(name)
	if err != nil {
		return fmt.Errorf("finding a contract: %w", err)
	}
	for i := range file.Imports().Len() {
		imported := file.Imports().Get(i)
		if _, have := files[path.Join("domicile", imported.Path())]; have || !isOwn(imported) {
			continue
		}
		if err := addContract(files, imported.Path()); err != nil {
			return err
		}
	}
	return nil
}

func isOwn(file protoreflect.FileDescriptor) bool {
	_, err := fs.Stat(proto.Files, file.Path())
	return err == nil
}
