package test

import (
	"os"
	"testing"

	"github.com/domicile-api/domicile/internal/cli"
	"github.com/domicile-api/domicile/services"
)

// asBinary, set in the environment, makes the test binary behave as the domicile binary, so that a test can start it, kill it
// and start it again without building anything.
const asBinary = "DOMICILE_TEST_AS_BINARY"

func TestMain(m *testing.M) {
	if os.Getenv(asBinary) != "" {
		os.Exit(cli.Main(cli.Config{
			Name: "domicile", Services: services.All(), Stdout: os.Stdout, Stderr: os.Stderr, Env: os.LookupEnv,
		}, os.Args[1:]))
	}
	os.Exit(disagreements(m.Run()))
}
