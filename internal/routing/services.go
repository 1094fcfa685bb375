package routing

import (
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	policyv1 "github.com/domicile-api/domicile/gen/domicile/policy/v1"
	"github.com/domicile-api/domicile/internal/residency"
)

// Services returns all services in the binary whose methods say where they are answered, by name. An edge routes them all, whichever of
// them its own process answers.
func Services() []protoreflect.ServiceDescriptor {
	var found []protoreflect.ServiceDescriptor
	protoregistry.GlobalFiles.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		for i := range file.Services().Len() {
			if s := file.Services().Get(i); isRouted(s) {
				found = append(found, s)
			}
		}
		return true
	})
	slices.SortFunc(found, func(a, b protoreflect.ServiceDescriptor) int {
		return strings.Compare(string(a.FullName()), string(b.FullName()))
	})
	return found
}

func isRouted(s protoreflect.ServiceDescriptor) bool {
	for i := range s.Methods().Len() {
		if residency.MethodPolicyOf(s.Methods().Get(i)).Route == policyv1.Route_ROUTE_UNSPECIFIED {
			return false
		}
	}
	return s.Methods().Len() > 0
}
