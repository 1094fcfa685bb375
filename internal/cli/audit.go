package cli

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	operationsv1 "github.com/domicile-api/domicile/gen/domicile/operations/v1"
)

func auditCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "audit", Short: "Prove where data lies"}
	connectionFlags(cmd)
	cmd.AddCommand(auditScan(), auditReport())
	return cmd
}

func auditScan() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "scan",
		Short: "Look at every item of every store, queue and dead letter; exit 1 if one lies where it may not",
		Args:  cobra.NoArgs,
	}
	region := regionFlag(cmd, "one region alone")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := connectTo(cmd)
		if err != nil {
			return err
		}
		c.http.Timeout = longCall
		r, err := c.operations().ScanAudit(cmd.Context(), &operationsv1.ScanAuditRequest{Region: *region})
		if err != nil {
			return explainError(err)
		}
		t := table{header: []string{"REGION", "ITEMS", "FINDINGS", "NOTE"}}
		silent, found := 0, uint64(0)
		for _, a := range r.GetRegions() {
			note := "clean"
			switch {
			case a.GetUnreachable() != "":
				note = "not reached: " + a.GetUnreachable()
				silent++
			case a.GetFindingCount() > 0:
				note = "forbidden"
			}
			found += a.GetFindingCount()
			t.rows = append(t.rows, []string{a.GetRegion(), number(a.GetItems()), number(a.GetFindingCount()), note})
			for _, f := range a.GetFindings() {
				t.rows = append(t.rows, []string{
					"", "", "", fmt.Sprintf("%s of %s in %s: %s: %s", f.GetDataClass(), f.GetTenant(), f.GetPlace(), f.GetKey(), f.GetRule()),
				})
			}
		}
		if err := show(cmd, r, t); err != nil {
			return err
		}
		if len(r.GetRegions()) == 0 {
			return refused(errors.New("no region was scanned"))
		}
		if found > 0 || silent > 0 {
			return refused(fmt.Errorf("%d items lie where they may not; %d regions could not be scanned", found, silent))
		}
		return nil
	}
	return cmd
}

func auditReport() *cobra.Command {
	return &cobra.Command{
		Use:   "report TENANT",
		Short: "Say where each class of a tenant's data lies now; exit 1 until projections are where its policy says",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := connectTo(cmd)
			if err != nil {
				return err
			}
			c.http.Timeout = longCall
			r, err := c.operations().ReportAudit(cmd.Context(), &operationsv1.ReportAuditRequest{Tenant: args[0]})
			if err != nil {
				return explainError(err)
			}
			t := table{header: []string{"REGION", "PLACE", "CLASS", "ITEMS", "BYTES", "CAN OPEN", "PROJECTIONS"}}
			silent, unsettled := 0, 0
			for _, h := range r.GetRegions() {
				if h.GetUnreachable() != "" {
					silent++
					t.rows = append(t.rows, []string{h.GetRegion(), "not reached: " + h.GetUnreachable(), "", "", "", "", ""})
					continue
				}
				if !h.GetSettled() {
					unsettled++
				}
				for _, x := range h.GetHoldings() {
					t.rows = append(t.rows, []string{
						h.GetRegion(), x.GetPlace(), x.GetDataClass(), number(x.GetItems()), number(x.GetBytes()), strconv.FormatBool(h.GetHasKey()),
						h.GetProjections(),
					})
				}
				if len(h.GetHoldings()) == 0 {
					t.rows = append(t.rows, []string{h.GetRegion(), "nothing", "", "", "", strconv.FormatBool(h.GetHasKey()), h.GetProjections()})
				}
			}
			if err := show(cmd, r, t); err != nil {
				return err
			}
			switch {
			case silent > 0:
				return refused(fmt.Errorf("%d regions could not be asked", silent))
			case unsettled > 0:
				return refused(fmt.Errorf("in %d regions the projections are not yet as the tenant's policy says", unsettled))
			}
			return nil
		},
	}
}
