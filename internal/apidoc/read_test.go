package apidoc_test

import (
	"errors"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/domicile-api/domicile/internal/apidoc"
	"github.com/domicile-api/domicile/internal/topology/topologyfile"
	"github.com/domicile-api/domicile/openapi"
)

const tiny = "openapi: 3.1.0\ninfo: {title: T, version: v1}\npaths: {}\n"

func version(files fstest.MapFS, name string) {
	for _, file := range []string{"global.yaml", "connect.yaml", "proto.zip", "descriptors.binpb"} {
		files[name+"/"+file] = &fstest.MapFile{Data: []byte(tiny)}
	}
}

func TestVersionsAreInOrder(t *testing.T) {
	t.Parallel()
	files := fstest.MapFS{"overlay.yaml": {Data: []byte("x")}, "vendor/global.yaml": {Data: []byte("x")}}
	for _, name := range []string{"v10", "v2", "v2beta1", "v2beta10", "v2beta2", "v2alpha1", "v1"} {
		version(files, name)
	}
	set, err := apidoc.Read(files)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"v1", "v2alpha1", "v2beta1", "v2beta2", "v2beta10", "v2", "v10"}
	if diff := cmp.Diff(want, set.Names()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if set.Newest().Name != "v10" || set.Version("v2").Name != "v2" || set.Version("v3") != nil {
		t.Errorf("newest is %s, v3 is %v", set.Newest().Name, set.Version("v3"))
	}
}

func TestReadRefuses(t *testing.T) {
	t.Parallel()
	broken, missing := fstest.MapFS{}, fstest.MapFS{}
	version(broken, "v1")
	broken["v1/connect.yaml"] = &fstest.MapFile{Data: []byte("openapi: [")}
	version(missing, "v1")
	delete(missing, "v1/proto.zip")
	tests := map[string]struct {
		files fs.FS
		want  string
	}{
		"nothing":           {fstest.MapFS{}, "no documents"},
		"no version":        {fstest.MapFS{"v0/global.yaml": {}, "version/global.yaml": {}, "v/global.yaml": {}}, "no documents"},
		"a broken document": {broken, "v1, connect.yaml"},
		"a missing file":    {missing, "v1, proto.zip"},
	}
	for name, tt := range tests {
		if _, err := apidoc.Read(tt.files); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want it to say %q", name, err, tt.want)
		}
	}
	if _, err := apidoc.Read(fstest.MapFS{}); !errors.Is(err, apidoc.ErrNoDocuments) {
		t.Errorf("got %v, want ErrNoDocuments", err)
	}
}

func TestOrderOfVersionsIsTotal(t *testing.T) {
	t.Parallel()
	all := []string{"v1alpha1", "v1beta1", "v1beta2", "v1", "v2"}
	for i, a := range all {
		for j, b := range all {
			got := apidoc.CompareVersions(a, b)
			if (got < 0) != (i < j) || (got > 0) != (i > j) {
				t.Errorf("%s before %s: %d", a, b, got)
			}
		}
	}
	if !slices.IsSortedFunc(all, apidoc.CompareVersions) {
		t.Error("the order of versions is not an order")
	}
}

// What a platform does at its start: it reads the documents once, and lays each of its regions over them.
func BenchmarkStart(b *testing.B) {
	b.Run("read", func(b *testing.B) {
		for b.Loop() {
			if _, err := apidoc.Read(openapi.Files); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("layer", func(b *testing.B) {
		v, topo := documents(b), topologyfile.Default()
		for b.Loop() {
			if _, err := apidoc.Layer(v.Global, topo, "eu-central-1"); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("encode", func(b *testing.B) {
		v := documents(b)
		for b.Loop() {
			if _, err := apidoc.Encode(v.Global); err != nil {
				b.Fatal(err)
			}
		}
	})
}
