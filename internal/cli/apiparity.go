package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/domicile-api/domicile/internal/apidiff"
)

func apiParity() *cobra.Command {
	return &cobra.Command{
		Use:   "parity DIR | FILE FILE...",
		Short: "Compare the documents of a version's regions; exit 1 if they differ without a declared reason",
		Long: "Compare the documents of a version's regions: which operation is missing or differs (parameters, schemas, answers, residency) in\n" +
			"which region, and why. A reason is declared in the overlay, on an operation or on anything within one:\n\n" +
			"  x-availability: {regions: [eu-central-1, eu-west-1], reason: law, note: Directive 2019/1024 is in force there}\n\n" +
			"The reasons are law, rollout and since. A difference without one is exit 1. DIR is a folder with global.yaml and a file for each of\n" +
			"the regions that it lists; a region without a file, and a file without a region, is exit 1 as well. Files may be URLs too.",
		Example: "  domicile api parity openapi/v1\n  domicile api parity http://localhost:8081/openapi.yaml http://localhost:8083/openapi.yaml",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			global, regional, err := parityDocuments(cmd.Context(), args)
			if err != nil {
				return err
			}
			report, err := apidiff.Parity(global, regional)
			if err != nil {
				return usage("%w", err)
			}
			if err := showValue(cmd, report, gapTable(report)); err != nil {
				return err
			}
			if report.Undeclared > 0 {
				found := counted(report.Undeclared, "difference between regions is", "differences between regions are")
				return refused(fmt.Errorf("%s without a declared reason", found))
			}
			return nil
		},
	}
}

func parityDocuments(ctx context.Context, args []string) (*apidiff.Document, []*apidiff.Document, error) {
	if info, err := os.Stat(args[0]); err == nil && info.IsDir() {
		if len(args) > 1 {
			return nil, nil, usage("%s is a folder; give one folder, or files", args[0])
		}
		return parityFolder(ctx, args[0])
	}
	regional := make([]*apidiff.Document, len(args))
	for i, arg := range args {
		var err error
		if regional[i], err = readDocument(ctx, arg); err != nil {
			return nil, nil, err
		}
	}
	return nil, regional, nil
}

// parityFolder reads global.yaml and the documents of the regions that it lists.
func parityFolder(ctx context.Context, dir string) (*apidiff.Document, []*apidiff.Document, error) {
	global, err := readDocument(ctx, filepath.Join(dir, globalName))
	if err != nil {
		return nil, nil, err
	}
	regions, err := global.Regions()
	if err != nil {
		return nil, nil, usage("%w", err)
	}
	if len(regions) == 0 {
		return nil, nil, usage("%s lists no regions in x-regions", global.Name)
	}
	var regional []*apidiff.Document
	var wrong []error
	for _, r := range regions {
		path := filepath.Join(dir, r.ID+".yaml")
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			wrong = append(wrong, fmt.Errorf("%s is missing: %s lists region %s", path, global.Name, r.ID))
			continue
		}
		d, err := readDocument(ctx, path)
		if err != nil {
			return nil, nil, err
		}
		if own := d.Spec.Extensions["x-region"]; own != r.ID {
			wrong = append(wrong, fmt.Errorf("%s is of region %v", path, own))
			continue
		}
		regional = append(regional, d)
	}
	strays, err := strayFiles(dir, regions)
	if err != nil {
		return nil, nil, err
	}
	if wrong = append(wrong, strays...); len(wrong) > 0 {
		return nil, nil, refused(fmt.Errorf("not a document for each region:\n%w", errors.Join(wrong...)))
	}
	return global, regional, nil
}

// strayFiles finds documents of regions that are not listed.
func strayFiles(dir string, regions []apidiff.Region) ([]error, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil {
		return nil, usage("looking into %s: %w", dir, err)
	}
	var strays []error
	for _, path := range files {
		name := strings.TrimSuffix(filepath.Base(path), ".yaml")
		isOther := slices.Contains([]string{globalName, connectName}, name+".yaml")
		if !isOther && !slices.ContainsFunc(regions, func(r apidiff.Region) bool { return r.ID == name }) {
			strays = append(strays, fmt.Errorf("%s: there is no region %s", path, name))
		}
	}
	return strays, nil
}

func gapTable(r *apidiff.ParityReport) table {
	t := table{header: []string{"WHY", "OPERATION", "REGIONS", "PLACE", "DIFFERENCE"}}
	for _, g := range r.Gaps {
		why := "undeclared"
		if g.Declared {
			why = g.Reason
			if g.Note != "" {
				why += ": " + oneLine(g.Note)
			}
		}
		t.rows = append(t.rows, []string{why, firstOf(g.Operations), strings.Join(g.Regions, ", "), dash(g.Place), oneLine(g.Text)})
	}
	if len(r.Gaps) == 0 {
		same := fmt.Sprintf("%s alike in %s", counted(r.Operations, "operation is", "operations are"), counted(len(r.Regions), "region", "regions"))
		t.rows = append(t.rows, []string{"none", "", "", "", same})
	}
	return t
}
