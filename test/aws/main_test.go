//go:build aws

package aws_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/domicile-api/domicile/internal/cli"
	"github.com/domicile-api/domicile/services"
)

// asBinary, set in the environment, makes the test binary behave as the domicile binary.
const asBinary = "DOMICILE_TEST_AS_BINARY"

func TestMain(m *testing.M) {
	if os.Getenv(asBinary) != "" {
		os.Exit(cli.Main(cli.Config{
			Name: "domicile", Services: services.All(), Stdout: os.Stdout, Stderr: os.Stderr, Env: os.LookupEnv,
		}, os.Args[1:]))
	}
	if os.Getenv("AWS_ENDPOINT_URL") == "" { // So that no test runs against an account by mistake.
		fmt.Fprintln(os.Stderr, "AWS_ENDPOINT_URL is not set: start LocalStack with infra/local/localstack.sh and set it to http://127.0.0.1:4566")
		os.Exit(1)
	}
	code := m.Run()
	removeBinaries()
	os.Exit(code)
}
