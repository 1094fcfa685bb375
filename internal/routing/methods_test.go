package routing_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	operationsv1 "github.com/domicile-api/domicile/gen/domicile/operations/v1"
	policyv1 "github.com/domicile-api/domicile/gen/domicile/policy/v1"
	profilev1 "github.com/domicile-api/domicile/gen/domicile/profile/v1"
	tenancyv1 "github.com/domicile-api/domicile/gen/domicile/tenancy/v1"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/routing"
)

func platformServices() []protoreflect.ServiceDescriptor {
	return []protoreflect.ServiceDescriptor{
		profilev1.File_domicile_profile_v1_profile_proto.Services().ByName("ProfileService"),
		tenancyv1.File_domicile_tenancy_v1_tenancy_proto.Services().ByName("TenancyService"),
		operationsv1.File_domicile_operations_v1_operations_proto.Services().ByName("OperationsService"),
	}
}

func TestMethodsOfThePlatform(t *testing.T) {
	t.Parallel()
	m, err := routing.NewMethods(platformServices()...)
	if err != nil {
		t.Fatal(err)
	}
	for procedure, want := range map[string]policyv1.Route{
		"/domicile.profile.v1.ProfileService/GetUser":           routeHome,
		"/domicile.profile.v1.ProfileService/CreateUser":        routeHome,
		"/domicile.profile.v1.ProfileService/GetUserSummary":    routeNearest,
		"/domicile.profile.v1.ProfileService/GetUserRecord":     routeNearest,
		"/domicile.tenancy.v1.TenancyService/CreateTenant":      routeControl,
		"/domicile.tenancy.v1.TenancyService/RevokeOwnApiKey":   routeHome,
		"/domicile.operations.v1.OperationsService/GetTopology": routeControl,
	} {
		if got, known := m.Route(procedure); !known || got != want {
			t.Errorf("Route(%s) = %s, %t; want %s", procedure, got, known, want)
		}
	}
	for _, none := range []string{"", "/", "GetUser", "domicile.profile.v1.ProfileService/GetUser", "/domicile.profile.v1.ProfileService/Nothing"} {
		if got, known := m.Route(none); known {
			t.Errorf("Route(%q) = %s", none, got)
		}
	}
	methods := 0
	for _, service := range platformServices() {
		methods += service.Methods().Len()
	}
	if got := m.Procedures(); len(got) != methods || !strings.HasPrefix(got[0], "/domicile.operations.v1.") {
		t.Errorf("%d procedures of %d methods: %v", len(got), methods, got)
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	twin := service(t, "other.v1", "TwinService", map[string]policyv1.Route{"GetUser": routeHome, "Only": routeNearest})
	m, err := routing.NewMethods(append(platformServices(), twin, service(t, "", "Bare", map[string]policyv1.Route{"Do": routeControl}))...)
	if err != nil {
		t.Fatal(err)
	}
	const getUser = "/domicile.profile.v1.ProfileService/GetUser"
	for name, want := range map[string]string{
		getUser: getUser,
		"domicile.profile.v1.ProfileService/GetUser": getUser,
		"domicile.profile.v1.ProfileService.GetUser": getUser,
		"ProfileService/GetUser":                     getUser,
		"ProfileService.GetUser":                     getUser,
		"GetUserSummary":                             getUser + "Summary",
		"Only":                                       "/other.v1.TwinService/Only",
		"Bare/Do":                                    "/Bare/Do",
		"Do":                                         "/Bare/Do",
	} {
		found, err := m.Find(name)
		got, route := found.Procedure, found.Route
		if known, _ := m.Route(want); err != nil || got != want || route != known {
			t.Errorf("Find(%q) = %s, %s, %v; want %s", name, got, route, err, want)
		}
	}
	for name, want := range map[string]string{
		"":              "no service here has this method",
		"/":             "no service here has this method",
		"Hostile\nName": "no service here has this method",
		"getuser":       "no service here has this method",
		"GetUser":       "several methods have this name: /domicile.profile.v1.ProfileService/GetUser, /other.v1.TwinService/GetUser",
	} {
		_, err := m.Find(name)
		if !fault.Is(err, errorsv1.Reason_REASON_INVALID_ARGUMENT) || !strings.Contains(err.Error(), want) {
			t.Errorf("Find(%q): %v; want %s", name, err, want)
			continue
		}
		if len(name) > 1 && name != "GetUser" && strings.Contains(err.Error(), name) {
			t.Errorf("Find(%q) echoes it: %v", name, err)
		}
	}
}

func TestMethodsWithoutARoute(t *testing.T) {
	t.Parallel()
	for route, want := range map[policyv1.Route]string{
		policyv1.Route_ROUTE_UNSPECIFIED: "the method other.v1.BadService.Do has no route: set option (domicile.policy.v1.route)",
		9:                                "the method other.v1.BadService.Do has the route 9, which this release does not know",
	} {
		_, err := routing.NewMethods(service(t, "other.v1", "BadService", map[string]policyv1.Route{"Do": route}))
		if err == nil {
			t.Errorf("route %d was taken", route)
			continue
		}
		if diff := cmp.Diff(want, err.Error()); diff != "" {
			t.Errorf("route %d (-want +got):\n%s", route, diff)
		}
	}
}

func TestTheSameServiceTwice(t *testing.T) {
	t.Parallel()
	m, err := routing.NewMethods(append(platformServices(), platformServices()...)...)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Find("GetUser"); err != nil {
		t.Errorf("GetUser is its own rival: %v", err)
	}
}

// service makes the descriptor of a service with such methods.
func service(t *testing.T, pkg, name string, methods map[string]policyv1.Route) protoreflect.ServiceDescriptor {
	t.Helper()
	message := "." + strings.TrimPrefix(pkg+".", ".") + "Empty"
	file := &descriptorpb.FileDescriptorProto{
		Name: new(name + ".proto"), Package: new(pkg), Syntax: new("proto3"),
		Dependency:  []string{"domicile/policy/v1/policy.proto"},
		MessageType: []*descriptorpb.DescriptorProto{{Name: new("Empty")}},
		Service:     []*descriptorpb.ServiceDescriptorProto{{Name: new(name)}},
	}
	for method, route := range methods {
		options := &descriptorpb.MethodOptions{}
		if route != 0 {
			proto.SetExtension(options, policyv1.E_Route, route)
		}
		file.Service[0].Method = append(file.Service[0].Method, &descriptorpb.MethodDescriptorProto{
			Name: new(method), InputType: new(message), OutputType: new(message), Options: options,
		})
	}
	built, err := protodesc.NewFile(file, protoregistry.GlobalFiles)
	if err != nil {
		t.Fatal(err)
	}
	return built.Services().Get(0)
}
