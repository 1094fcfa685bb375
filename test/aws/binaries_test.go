//go:build aws

package aws_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// binaries are the functions as Lambda runs them, built once.
var binaries = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "domicile-functions-")
	if err != nil {
		return "", fmt.Errorf("making a folder: %w", err)
	}
	args := []string{"build", "-tags", "lambda.norpc", "-trimpath", "-ldflags", "-s -w", "-o", dir + "/"}
	for _, f := range []string{"edge", "relay", "apply", "sweep"} {
		args = append(args, "../../functions/"+f)
	}
	cmd := exec.Command("go", args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return dir, fmt.Errorf("building the functions: %w: %s", err, out)
	}
	return dir, nil
})

// built records that binaries were asked for.
var built sync.Map

// binary is the path of a function's binary.
func binary(t testing.TB, name string) string {
	t.Helper()
	dir, err := binaries()
	built.Store(dir, true)
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, name)
}

// removeBinaries removes what was built.
func removeBinaries() {
	built.Range(func(dir, _ any) bool {
		_ = os.RemoveAll(dir.(string))
		return true
	})
}
