package apidoc

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// The names of a version's files.
const (
	// GlobalFile is the document of the REST API, without a region.
	GlobalFile = "global.yaml"
	// ConnectFile is the document of the Connect API, without a region.
	ConnectFile = "connect.yaml"
	// BundleFile has the .proto files.
	BundleFile = "proto.zip"
	// DescriptorsFile is a google.protobuf.FileDescriptorSet with comments.
	DescriptorsFile = "descriptors.binpb"
)

// ErrNoDocuments says that a file system has no documents.
var ErrNoDocuments = errors.New("there are no documents: no folder v1, v2, … with a " + GlobalFile)

// Version is what there is of one version of an API.
type Version struct {
	// Name is the suffix of the protobuf packages, e.g. "v1".
	Name string
	// Global and Connect are the documents of the REST API and of the Connect API, without a region: see Layer.
	Global, Connect *openapi3.T
	// Bundle is a ZIP file of the .proto files; Descriptors is a serialized google.protobuf.FileDescriptorSet.
	Bundle, Descriptors []byte
}

// Set is the documents of an API, in all versions.
type Set struct {
	// Versions has the oldest version first.
	Versions []*Version
}

// Newest returns the latest version.
func (s *Set) Newest() *Version { return s.Versions[len(s.Versions)-1] }

// Version returns a version by name; nil if there is none.
func (s *Set) Version(name string) *Version {
	for _, v := range s.Versions {
		if v.Name == name {
			return v
		}
	}
	return nil
}

// Names returns the names of all versions, the oldest first.
func (s *Set) Names() []string {
	names := make([]string, 0, len(s.Versions))
	for _, v := range s.Versions {
		names = append(names, v.Name)
	}
	return names
}

// Read reads the documents that package apigen wrote: folders that are named by a version. It fails with ErrNoDocuments when there is none.
func Read(files fs.FS) (*Set, error) {
	entries, err := fs.ReadDir(files, ".")
	if err != nil {
		return nil, fmt.Errorf("reading the documents: %w", err)
	}
	set := &Set{}
	for _, entry := range entries {
		if !entry.IsDir() || !IsVersion(entry.Name()) {
			continue
		}
		version, err := readVersion(files, entry.Name())
		if err != nil {
			return nil, err
		}
		set.Versions = append(set.Versions, version)
	}
	if len(set.Versions) == 0 {
		return nil, ErrNoDocuments
	}
	slices.SortFunc(set.Versions, func(a, b *Version) int { return CompareVersions(a.Name, b.Name) })
	return set, nil
}

func readVersion(files fs.FS, name string) (*Version, error) {
	v := &Version{Name: name}
	for _, part := range []struct {
		file string
		take func([]byte) error
	}{
		{GlobalFile, func(data []byte) (err error) { v.Global, err = Decode(data); return err }},
		{ConnectFile, func(data []byte) (err error) { v.Connect, err = Decode(data); return err }},
		{BundleFile, func(data []byte) error { v.Bundle = data; return nil }},
		{DescriptorsFile, func(data []byte) error { v.Descriptors = data; return nil }},
	} {
		data, err := fs.ReadFile(files, name+"/"+part.file)
		if err == nil {
			err = part.take(data)
		}
		if err != nil {
			return nil, fmt.Errorf("reading the documents of %s, %s: %w", name, part.file, err)
		}
	}
	return v, nil
}

// IsVersion tells whether a name is that of a version: "v1", "v2beta1".
func IsVersion(name string) bool {
	major, rest := versionParts(name)
	return major > 0 && (rest == "" || strings.HasPrefix(rest, "alpha") || strings.HasPrefix(rest, "beta"))
}

// CompareVersions orders versions by age: v1alpha1, v1beta1, v1, v2.
func CompareVersions(a, b string) int {
	majorA, restA := versionParts(a)
	majorB, restB := versionParts(b)
	switch {
	case majorA != majorB:
		return majorA - majorB
	case restA == restB:
		return 0
	case restA == "":
		return 1
	case restB == "":
		return -1
	case len(restA) != len(restB) && restA[0] == restB[0]:
		return len(restA) - len(restB) // beta2, beta10
	default:
		return strings.Compare(restA, restB)
	}
}

// versionParts takes "v2beta1" apart into 2 and "beta1"; the number is 0 if it is no version.
func versionParts(name string) (major int, rest string) {
	digits, isVersion := strings.CutPrefix(name, "v")
	end := 0
	for end < len(digits) && '0' <= digits[end] && digits[end] <= '9' {
		end++
	}
	major, err := strconv.Atoi(digits[:end])
	if !isVersion || err != nil || digits[0] == '0' {
		return 0, ""
	}
	return major, digits[end:]
}
