package test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/domicile-api/domicile/domiciletest"
	"github.com/domicile-api/domicile/openapi"
	"github.com/domicile-api/domicile/services"
)

// shellBlock is a fenced block of commands, with what they are to print as comments after them.
var shellBlock = regexp.MustCompile("(?ms)^```sh\n(.*?)^```$")

// guideStep is what a guide has its reader type, and what then is to be read; what begins with "! " is not to be read.
type guideStep struct {
	text string
	want []string
}

// stepsOf takes a block apart: a comment belongs to the commands before it.
func stepsOf(block string) []guideStep {
	var all []guideStep
	fresh := true
	for line := range strings.Lines(block) {
		if want, ok := strings.CutPrefix(line, "# "); ok {
			if len(all) > 0 {
				all[len(all)-1].want = append(all[len(all)-1].want, strings.TrimSpace(want))
			}
			fresh = true
			continue
		}
		if fresh {
			all = append(all, guideStep{})
			fresh = false
		}
		all[len(all)-1].text += line
	}
	return all
}

// complaint says what is wrong with what a command has printed.
func (c guideStep) complaint(printed string) string {
	at := 0
	for _, want := range c.want {
		if unwanted, not := strings.CutPrefix(want, "! "); not {
			if strings.Contains(printed, unwanted) {
				return fmt.Sprintf("%q is there", unwanted)
			}
			continue
		}
		found := strings.Index(printed[at:], want)
		if found < 0 {
			return fmt.Sprintf("%q is not there, or not where the guide has it", want)
		}
		at += found
	}
	return ""
}

// script runs a guide's commands in one shell, so that variables last, and tells their outputs apart by a line that no answer has.
func script(all []guideStep) string {
	var b strings.Builder
	b.WriteString("set -euo pipefail\ncommand -v uuidgen >/dev/null || uuidgen() { cat /proc/sys/kernel/random/uuid; }\n")
	for _, c := range all {
		b.WriteString(c.text + "\necho; echo '=== next ==='\n")
	}
	return b.String()
}

// The guides that the portal shows do what they say: their commands run against a platform, and print what they are said to print.
func TestPortalGuidesDoWhatTheySay(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"bash", "curl"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("the guides need %s", program)
		}
	}
	p := domiciletest.Start(t, domiciletest.Config{Services: services.All(), OpenAPI: openapi.Files, Demo: true})
	places := make([]string, 0, 2+2*len(p.Regions()))
	places = append(places, "http://localhost:8080", p.GlobalEndpoint())
	for i, region := range p.Regions() {
		places = append(places, fmt.Sprintf("http://localhost:%d", 8081+i), p.Endpoint(region))
	}
	for _, name := range []string{"first-call", "endpoints", "residency", "consistency", "idempotency", "errors", "settings"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			guide, err := os.ReadFile(filepath.Join("../docs/guides", name+".md"))
			if err != nil {
				t.Fatal(err)
			}
			blocks := shellBlock.FindAllStringSubmatch(strings.NewReplacer(places...).Replace(string(guide)), -1)
			all := make([]guideStep, 0, len(blocks))
			for _, m := range blocks {
				all = append(all, stepsOf(m[1])...)
			}
			if len(all) == 0 {
				t.Fatal("the guide has no commands")
			}
			shell := exec.CommandContext(t.Context(), "bash", "-c", script(all))
			shell.Env = append(os.Environ(), "KEY="+p.DemoKey("acme-eu"), "STRICT_KEY="+p.DemoKey("bank-eu"))
			printed, err := shell.Output()
			outputs := strings.Split(string(printed), "=== next ===\n")
			if err != nil {
				t.Fatalf("after %d of %d commands: %v\n%s", len(outputs)-1, len(all), err, printed)
			}
			for i, c := range all {
				if wrong := c.complaint(outputs[i]); wrong != "" {
					t.Errorf("%s\n%sprints:\n%s", wrong, c.text, outputs[i])
				}
			}
		})
	}
}

// A guide that says something else than what is printed is found.
func TestComplaints(t *testing.T) {
	t.Parallel()
	c := stepsOf("curl a \\\n  b\n# one\n# ! two\ncurl c\n# three\n# four\n")
	if len(c) != 2 || c[0].text != "curl a \\\n  b\n" || len(c[1].want) != 2 {
		t.Fatalf("%+v", c)
	}
	for printed, good := range map[string]bool{"x one": true, "one two": false, "x": false} {
		if got := c[0].complaint(printed); (got == "") != good {
			t.Errorf("%q: %q", printed, got)
		}
	}
	if c[1].complaint("four three") == "" || c[1].complaint("three four") != "" {
		t.Error("the order does not count")
	}
}

// goBlock is a fenced block of Go: statements that know ctx, bearer and ada, and make a summary.
var goBlock = regexp.MustCompile("(?ms)^```go\n(.*?)^```$")

// program is what stands around such a block.
const program = `package main

import (
	"context"
	"fmt"
	"os"

	"connectrpc.com/connect"

	"github.com/domicile-api/domicile/client"
	profilev1 "github.com/domicile-api/domicile/gen/domicile/profile/v1"
	"github.com/domicile-api/domicile/gen/domicile/profile/v1/profilev1connect"
)

func guide(ctx context.Context, bearer connect.Interceptor, ada *profilev1.User) error {
%s
	if err != nil {
		return err
	}
	fmt.Println(summary.GetSummary().GetLocale())
	return nil
}

func main() {
	bearer := connect.UnaryInterceptorFunc(func(next connect.UnaryFunc) connect.UnaryFunc {
		return func(ctx context.Context, r connect.AnyRequest) (connect.AnyResponse, error) {
			r.Header().Set("Authorization", "Bearer "+os.Getenv("KEY"))
			return next(ctx, r)
		}
	})
	ada := &profilev1.User{GivenName: "Ada", FamilyName: "Lovelace", Email: "ada@go.example", Locale: "en-GB"}
	if err := guide(context.Background(), bearer, ada); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
`

// The Go of the guides runs as it stands there.
func TestPortalGuidesGoRuns(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("builds a program")
	}
	p := domiciletest.Start(t, domiciletest.Config{Services: services.All(), Demo: true})
	guide, err := os.ReadFile("../docs/guides/consistency.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := goBlock.FindAllStringSubmatch(string(guide), -1)
	if len(blocks) != 1 {
		t.Fatalf("the guide has %d blocks of Go", len(blocks))
	}
	dir := t.TempDir()
	main := filepath.Join(dir, "main.go")
	text := fmt.Sprintf(program, strings.ReplaceAll(blocks[0][1], "https://api.example.com", p.Endpoint("ap-southeast-1")))
	if err := os.WriteFile(main, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	here, err := filepath.Abs("guide/main.go")
	if err != nil {
		t.Fatal(err)
	}
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {here: main}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	run := exec.CommandContext(t.Context(), "go", "run", "-overlay", filepath.Join(dir, "overlay.json"), "./guide")
	run.Env = append(os.Environ(), "KEY="+p.DemoKey("acme-eu"), "GOWORK=off")
	if out, err := run.CombinedOutput(); err != nil || string(out) != "en-GB\n" {
		t.Errorf("%v\n%s", err, out)
	}
}
