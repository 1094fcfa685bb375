package app_test

import (
	"os"
	"testing"

	"github.com/domicile-api/domicile/internal/app"
	"github.com/domicile-api/domicile/internal/app/embedded"
)

func TestMain(m *testing.M) {
	app.NewBackend = func(dir string) app.Backend { return embedded.New(dir) }
	os.Exit(m.Run())
}
