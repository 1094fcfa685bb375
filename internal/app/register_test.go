package app

import (
	"net/http"
	"strings"
	"testing"

	"connectrpc.com/connect"

	"github.com/domicile-api/domicile"
	"github.com/domicile-api/domicile/gen/domicile/profile/v1/profilev1connect"
	"github.com/domicile-api/domicile/internal/routing"
)

func TestServiceMustUseTheHandlerOptions(t *testing.T) {
	t.Parallel()
	with := func(options func(domicile.Runtime) []connect.HandlerOption) domicile.Service {
		return domicile.Service{Name: "profile", Register: func(rt domicile.Runtime) (string, http.Handler, error) {
			path, handler := profilev1connect.NewProfileServiceHandler(profilev1connect.UnimplementedProfileServiceHandler{}, options(rt)...)
			return path, handler, nil
		}}
	}
	good := with(func(rt domicile.Runtime) []connect.HandlerOption { return rt.HandlerOptions })
	bad := with(func(domicile.Runtime) []connect.HandlerOption { return nil })
	elsewhere := domicile.Service{Name: "odd", Register: func(domicile.Runtime) (string, http.Handler, error) {
		return "/nothing.Here/", http.NotFoundHandler(), nil
	}}
	if _, err := register(good, domicile.Runtime{}, routing.Services()); err != nil {
		t.Errorf("a service made as it should be: %v", err)
	}
	for name, c := range map[string]struct {
		service domicile.Service
		want    string
	}{"without options": {bad, "HandlerOptions"}, "of no contract": {elsewhere, "route"}} {
		if _, err := register(c.service, domicile.Runtime{}, routing.Services()); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
