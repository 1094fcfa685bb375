package developers_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/domicile-api/domicile/internal/app/developers"
)

// Documents that cannot be read are refused, with the file that is at fault.
func TestBadDocuments(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		files fstest.MapFS
		want  string
	}{
		"none":        {fstest.MapFS{}, "no documents"},
		"a bad one":   {fstest.MapFS{"v1/global.yaml": {Data: []byte("openapi: [")}}, "global.yaml"},
		"one of them": {fstest.MapFS{"v1/global.yaml": {Data: []byte("openapi: 3.1.0\ninfo: {title: a, version: v1}\npaths: {}\n")}}, "connect.yaml"},
	} {
		if _, err := developers.New(tt.files); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
