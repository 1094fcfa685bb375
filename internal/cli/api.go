package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/domicile-api/domicile/internal/apidiff"
)

func apiCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "api", Short: "Compare API documents: releases with one another, regions with one another"}
	cmd.AddCommand(apiDiff(), apiParity(), apiChangelog())
	return cmd
}

func apiDiff() *cobra.Command {
	return &cobra.Command{
		Use:   "diff A B",
		Short: "Show what changed from document A to document B; exit 1 if it breaks clients",
		Long: "Show what changed from an older OpenAPI document A to a newer one B, and what it does to clients: breaking, risky (it breaks those\n" +
			"that relied on more than they should have) or compatible. A data class that is loosened, a property that may leave its region or\n" +
			"jurisdiction where it might not, and a call that is answered elsewhere are breaking.\n\n" +
			"A and B are files; URLs; REVISION:PATH, a file of a git revision; or the names of releases, which mean their openapi/v1/global.yaml.\n" +
			"Exit 0: nothing breaking; 1: something is; 2: A or B is no such document; 3: a URL does not answer.",
		Example: "  domicile api diff v0.1.0 openapi/v1/global.yaml\n  domicile api diff HEAD~1:openapi/v1/global.yaml http://localhost:8081/openapi.yaml",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			var pair [2]*apidiff.Document
			for i, arg := range args {
				var err error
				if pair[i], err = readDocument(cmd.Context(), arg); err != nil {
					return err
				}
			}
			report, err := compared(cmd.Context(), pair[0], pair[1])
			if err != nil {
				return usage("%w", err)
			}
			if err := showValue(cmd, report, changeTable(report)); err != nil {
				return err
			}
			if report.Breaking > 0 {
				return refused(fmt.Errorf("%s clients of %s", counted(report.Breaking, "change breaks", "changes break"), report.From))
			}
			return nil
		},
	}
}

// compareTimeout bounds a comparison. Ours take less than a second; but twenty schemas that each refer twice to the next have a million
// ways through them, and all are gone.
const compareTimeout = time.Minute

// compared compares until it has the report, is told to end, or has taken too long. What compares cannot be stopped; it ends with the
// process.
func compared(ctx context.Context, older, newer *apidiff.Document) (*apidiff.Report, error) {
	ctx, cancel := context.WithTimeout(ctx, compareTimeout)
	defer cancel()
	type result struct {
		report *apidiff.Report
		err    error
	}
	done := make(chan result, 1)
	go func() {
		report, err := apidiff.Compare(older, newer, time.Now())
		done <- result{report, err}
	}()
	select {
	case r := <-done:
		return r.report, r.err
	case <-ctx.Done():
		return nil, fmt.Errorf("comparing %s with %s: given up: %w", older.Name, newer.Name, ctx.Err())
	}
}

func changeTable(r *apidiff.Report) table {
	t := table{header: []string{"EFFECT", "OPERATION", "CHANGE", "AT"}}
	for _, c := range r.Changes {
		t.rows = append(t.rows, []string{string(c.Effect), firstOf(c.Operations), oneLine(c.Text), c.At})
	}
	if len(r.Changes) == 0 {
		t.rows = append(t.rows, []string{"none", "", "nothing changed", ""})
	}
	return t
}

// firstOf names the first operation, and how many more there are.
func firstOf(operations []string) string {
	switch len(operations) {
	case 0:
		return "-"
	case 1:
		return operations[0]
	default:
		return operations[0] + " and " + strconv.Itoa(len(operations)-1) + " more"
	}
}

// oneLine keeps what documents say from breaking a table.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// counted is a number with its words.
func counted(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + more
}

// showValue prints a result that is no message: as JSON, or as a table.
func showValue(cmd *cobra.Command, value any, t table) error {
	out, err := cmd.Flags().GetString("output")
	if err != nil {
		return fmt.Errorf("reading flag output: %w", err)
	}
	if out != "json" {
		return t.write(cmd.OutOrStdout())
	}
	enc := json.NewEncoder(cmd.OutOrStdout())
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(value); err != nil {
		return fmt.Errorf("writing JSON: %w", err)
	}
	return nil
}
