package app

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
)

// withPath is a service that has a method at a path.
func withPath(t *testing.T, path string) protoreflect.ServiceDescriptor {
	t.Helper()
	options := &descriptorpb.MethodOptions{}
	proto.SetExtension(options, annotations.E_Http, &annotations.HttpRule{Pattern: &annotations.HttpRule_Get{Get: path}})
	file, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{
		Name: new("ledger.proto"), Package: new("ledger.v1"), Syntax: new("proto3"),
		MessageType: []*descriptorpb.DescriptorProto{{Name: new("Request")}},
		Service: []*descriptorpb.ServiceDescriptorProto{{Name: new("LedgerService"), Method: []*descriptorpb.MethodDescriptorProto{{
			Name: new("Get"), InputType: new(".ledger.v1.Request"), OutputType: new(".ledger.v1.Request"), Options: options,
		}}}},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return file.Services().Get(0)
}

// A path that a product's service has is the service's, also where the portal would have one: a product that has it goes on as it was.
func TestServicesGoBeforeThePortal(t *testing.T) {
	t.Parallel()
	p := &Platform{services: []protoreflect.ServiceDescriptor{withPath(t, "/docs/{id}")}}
	if err := p.openPortal(); err != nil {
		t.Fatal(err)
	}
	asked := false
	made := &lazyPortal{logger: slog.New(slog.DiscardHandler), once: func() (http.Handler, error) {
		asked = true
		return nil, errStarting
	}}
	edge := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	for path, want := range map[string]string{"/docs/1": "edge", "/other": "edge", "/docs": "portal", "/docs/guides/errors": "portal", "/openapi.yaml": "portal"} {
		asked = false
		w := httptest.NewRecorder()
		p.besidePortal(edge, made).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody))
		if (want == "portal") != asked || (w.Code == http.StatusTeapot) == asked {
			t.Errorf("%s: %d, the portal was asked: %v", path, w.Code, asked)
		}
		if asked && (w.Code != http.StatusInternalServerError || strings.Contains(w.Body.String(), errStarting.Error())) {
			t.Errorf("a portal that cannot be made: %d %s", w.Code, w.Body)
		}
	}
}
