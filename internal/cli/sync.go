package cli

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	operationsv1 "github.com/domicile-api/domicile/gen/domicile/operations/v1"
)

// longCall bounds an operator's call that looks at all data.
const longCall = 10 * time.Minute

func syncCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "sync", Short: "See and repair what regions know of each other"}
	connectionFlags(cmd)
	cmd.AddCommand(syncStatus(), syncVerify(), syncRepair())
	return cmd
}

// regionFlag adds --region.
func regionFlag(cmd *cobra.Command, help string) *string {
	return cmd.Flags().String("region", "", help)
}

func syncStatus() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status",
		Short: "How far regions are behind each other",
		Long: "How far regions are behind each other: per pair the writes that are not sent yet, the events that wait in the destination's queues, " +
			"and how long after its commit the last one was applied there; per region the dead letters and the lanes that wait for a repair.",
		Args: cobra.NoArgs,
	}
	region := regionFlag(cmd, "one region alone")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := connectTo(cmd)
		if err != nil {
			return err
		}
		r, err := c.operations().GetSyncStatus(cmd.Context(), &operationsv1.GetSyncStatusRequest{Region: *region})
		if err != nil {
			return explainError(err)
		}
		return show(cmd, r, syncTable(r))
	}
	return cmd
}

// unknown stands for what the end that knows it did not say.
const unknown = "?"

// pair is a source and a destination, with what either end says of it; nil: it said nothing.
type pair struct {
	source, destination string
	out                 *operationsv1.Outbound
	in                  *operationsv1.Inbound
}

func (p pair) row(note string) []string {
	notSent, oldest, lost, inQueue, lag, violations := unknown, unknown, unknown, unknown, unknown, unknown
	if p.out != nil {
		notSent, oldest, lost = number(p.out.GetEvents()), seconds(p.out.GetOldestSeconds()), number(p.out.GetLanesLost())
	}
	if p.in != nil {
		inQueue, lag, violations = number(p.in.GetEvents()), seconds(p.in.GetLagSeconds()), number(p.in.GetViolations())
	}
	return []string{p.source, p.destination, notSent, inQueue, lag, oldest, lost, violations, note}
}

// syncTable has a row for each pair; what is said of it by either end is put together. What a region has to send to one that is cut
// off is what matters most then, so a pair is shown if either end has a word of it.
func syncTable(r *operationsv1.GetSyncStatusResponse) table {
	t := table{header: []string{"SOURCE", "DESTINATION", "NOT SENT", "IN QUEUE", "LAST LAG", "OLDEST", "LOST", "VIOLATIONS", "NOTE"}}
	for _, region := range r.GetRegions() {
		pairs := pairsTo(r.GetRegions(), region)
		why := ""
		if region.GetUnreachable() != "" {
			why = "not reached: " + region.GetUnreachable()
		}
		for _, p := range pairs {
			note := why
			if note == "" {
				note = p.out.GetFailure()
			}
			t.rows = append(t.rows, p.row(note))
		}
		if why != "" && len(pairs) == 0 {
			t.rows = append(t.rows, pair{source: "(any)", destination: region.GetRegion()}.row(why))
		}
		dead := uint64(0)
		for _, q := range region.GetQueues() {
			dead += q.GetDeadLetters()
		}
		if dead > 0 || region.GetLanesBehind() > 0 {
			t.rows = append(t.rows, []string{
				"(all)", region.GetRegion(), "", "", "", "", "", "", fmt.Sprintf("%d dead letters, %d lanes wait for a repair", dead, region.GetLanesBehind()),
			})
		}
	}
	return t
}

// pairsTo returns the pairs of a destination: those that it speaks of, then those that only their source does.
func pairsTo(regions []*operationsv1.RegionSync, destination *operationsv1.RegionSync) []pair {
	var pairs []pair
	for _, in := range destination.GetInbound() {
		pairs = append(pairs, pair{source: in.GetSource(), destination: destination.GetRegion(), in: in})
	}
	for _, source := range regions {
		for _, out := range source.GetOutbound() {
			if out.GetDestination() != destination.GetRegion() {
				continue
			}
			at := slices.IndexFunc(pairs, func(p pair) bool { return p.source == source.GetRegion() })
			if at < 0 {
				pairs, at = append(pairs, pair{source: source.GetRegion(), destination: destination.GetRegion()}), len(pairs)
			}
			pairs[at].out = out
		}
	}
	return pairs
}

func number(n uint64) string { return strconv.FormatUint(n, 10) }

func seconds(s float64) string {
	return time.Duration(s * float64(time.Second)).Round(time.Millisecond).String()
}

func syncVerify() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Compare every copy with its home; exit 0 only if all regions agree",
		Args:  cobra.NoArgs,
	}
	region := regionFlag(cmd, "one region's copies alone")
	tenant := cmd.Flags().String("tenant", "", "one tenant alone")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := connectTo(cmd)
		if err != nil {
			return err
		}
		c.http.Timeout = longCall
		r, err := c.operations().VerifySync(cmd.Context(), &operationsv1.VerifySyncRequest{Region: *region, Tenant: *tenant})
		if err != nil {
			return explainError(err)
		}
		if err := show(cmd, r, verificationTable(r.GetRegions())); err != nil {
			return err
		}
		return agreement(r.GetRegions(), false)
	}
	return cmd
}

func syncRepair() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "repair",
		Short: "Compare every copy with its home, and bring what differs to what the home has",
		Args:  cobra.NoArgs,
	}
	region := regionFlag(cmd, "one region's copies alone")
	tenant := cmd.Flags().String("tenant", "", "one tenant alone")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := connectTo(cmd)
		if err != nil {
			return err
		}
		c.http.Timeout = longCall
		r, err := c.operations().RepairSync(cmd.Context(), &operationsv1.RepairSyncRequest{Region: *region, Tenant: *tenant})
		if err != nil {
			return explainError(err)
		}
		if err := show(cmd, r, verificationTable(r.GetRegions())); err != nil {
			return err
		}
		return agreement(r.GetRegions(), true)
	}
	return cmd
}

func verificationTable(regions []*operationsv1.RegionVerification) table {
	t := table{header: []string{"REGION", "LANES", "ENTITIES", "DIFFERENCES", "REPAIRED", "BYTES", "NOTE"}}
	for _, r := range regions {
		note := "equal"
		switch {
		case r.GetUnreachable() != "":
			note = "not reached: " + r.GetUnreachable()
		case r.GetDifferenceCount() > 0:
			note = "differs"
			if onlyNotCompared(r) {
				note = "in part not compared: a home does not answer"
			}
		}
		t.rows = append(t.rows, []string{
			r.GetRegion(), number(r.GetLanes()), number(r.GetEntities()), number(r.GetDifferenceCount()), number(r.GetRepaired()), number(r.GetBytes()), note,
		})
		for _, d := range r.GetDifferences() {
			what := ""
			if d.GetId() != "" {
				what = ": " + d.GetId()
			}
			t.rows = append(t.rows, []string{
				"", "", "", "", "", "",
				fmt.Sprintf("%s: %s %s lane %d of %s%s", d.GetKind(), d.GetTenant(), d.GetFeed(), d.GetLane(), d.GetSource(), what),
			})
		}
	}
	return t
}

// notCompared is the kind of a difference that says nothing of the copy: its home did not answer.
const notCompared = "not compared"

// onlyNotCompared tells whether nothing is known to differ in a region, and something could not be compared.
func onlyNotCompared(r *operationsv1.RegionVerification) bool {
	return uint64(len(r.GetDifferences())) == r.GetDifferenceCount() &&
		!slices.ContainsFunc(r.GetDifferences(), func(d *operationsv1.Difference) bool { return d.GetKind() != notCompared })
}

// agreement is the exit code of a comparison: 0 only if nothing differs any more, and every region was compared.
func agreement(regions []*operationsv1.RegionVerification, repaired bool) error {
	var differ, silent int
	for _, r := range regions {
		switch {
		case r.GetUnreachable() != "", r.GetDifferenceCount() > 0 && onlyNotCompared(r):
			silent++
		case r.GetDifferenceCount() > 0 && (!repaired || r.GetRepaired() < r.GetDifferenceCount()):
			differ++
		}
	}
	switch {
	case len(regions) == 0:
		return refused(errors.New("no region was compared"))
	case silent > 0:
		return refused(fmt.Errorf("%d of %d regions could not be compared", silent, len(regions)))
	case differ > 0:
		return refused(fmt.Errorf("%d of %d regions differ from the homes", differ, len(regions)))
	default:
		return nil
	}
}

func dlqCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "dlq", Short: "See messages that could not be applied, and put them back"}
	connectionFlags(cmd)
	cmd.AddCommand(dlqList(), dlqShow(), dlqRedrive(), dlqDrop())
	return cmd
}

func dlqList() *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List dead letters, oldest first", Args: cobra.NoArgs}
	region := regionFlag(cmd, "one region alone")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := connectTo(cmd)
		if err != nil {
			return err
		}
		r, err := c.operations().ListDeadLetters(cmd.Context(), &operationsv1.ListDeadLettersRequest{Region: *region})
		if err != nil {
			return explainError(err)
		}
		t := table{header: []string{"REGION", "QUEUE", "ID", "SOURCE", "TENANT", "POSITION", "CLASS", "RECEIVED", "SENT", "REASON"}}
		for _, l := range r.GetLetters() {
			t.rows = append(t.rows, []string{
				l.GetRegion(), l.GetQueue(), l.GetId(), l.GetSource(), l.GetTenant(),
				fmt.Sprintf("%s/%d/%d.%d", l.GetFeed(), l.GetLane(), l.GetEpoch(), l.GetSeq()), l.GetDataClass(),
				strconv.FormatUint(uint64(l.GetReceives()), 10), l.GetSendTime().AsTime().Format(time.RFC3339), l.GetReason(),
			})
		}
		if err := show(cmd, r, t); err != nil {
			return err
		}
		if n := len(r.GetUnreachable()); n > 0 {
			return refused(fmt.Errorf("%d regions could not be asked: %v", n, r.GetUnreachable()))
		}
		return nil
	}
	return cmd
}

func dlqShow() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show --region R ID",
		Short: "Show a dead letter: its ids, class and reason, never its content",
		Args:  cobra.ExactArgs(1),
	}
	region := regionFlag(cmd, "the region that it lies in")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := connectTo(cmd)
		if err != nil {
			return err
		}
		r, err := c.operations().ListDeadLetters(cmd.Context(), &operationsv1.ListDeadLettersRequest{Region: *region, Ids: args})
		if err != nil {
			return explainError(err)
		}
		if len(r.GetLetters()) == 0 && len(r.GetUnreachable()) > 0 {
			return refused(fmt.Errorf("no region that answers has such a dead letter; not asked: %v", r.GetUnreachable()))
		}
		if len(r.GetLetters()) == 0 {
			return refused(errors.New("there is no such dead letter; see 'domicile dlq list'"))
		}
		l := r.GetLetters()[0]
		return show(cmd, l, table{header: []string{"FIELD", "VALUE"}, rows: [][]string{
			{"region", l.GetRegion()}, {"queue", l.GetQueue()}, {"id", l.GetId()}, {"source", l.GetSource()}, {"tenant", l.GetTenant()},
			{"feed", l.GetFeed()}, {"lane", strconv.FormatUint(uint64(l.GetLane()), 10)},
			{"position", fmt.Sprintf("epoch %d, number %d", l.GetEpoch(), l.GetSeq())}, {"entity", l.GetEntity()}, {"entity id", l.GetEntityId()},
			{"class", l.GetDataClass()}, {"bytes", number(l.GetBytes())}, {"received", strconv.FormatUint(uint64(l.GetReceives()), 10) + " times"},
			{"sent", l.GetSendTime().AsTime().Format(time.RFC3339)}, {"reason", l.GetReason()},
		}})
	}
	return cmd
}

func dlqRedrive() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "redrive --region R ID...|--all",
		Short: "Put dead letters back into their queue; what is newer by now stays",
	}
	region := regionFlag(cmd, "the region that they lie in")
	all := cmd.Flags().Bool("all", false, "all of the region's")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *region == "" || *all == (len(args) > 0) {
			return usage("give --region, and either ids or --all")
		}
		c, err := connectTo(cmd)
		if err != nil {
			return err
		}
		r, err := c.operations().RedriveDeadLetters(cmd.Context(), &operationsv1.RedriveDeadLettersRequest{Region: *region, Ids: args})
		if err != nil {
			return explainError(err)
		}
		if err := show(cmd, r, table{header: []string{"MOVED"}, rows: [][]string{{number(r.GetMoved())}}}); err != nil {
			return err
		}
		return allFound(r.GetMoved(), args)
	}
	return cmd
}

func dlqDrop() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "drop --region R ID...",
		Short: "Delete dead letters; their lanes are repaired from the home afterwards",
		Args:  cobra.MinimumNArgs(1),
	}
	region := regionFlag(cmd, "the region that they lie in")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *region == "" {
			return usage("give --region")
		}
		c, err := connectTo(cmd)
		if err != nil {
			return err
		}
		r, err := c.operations().DropDeadLetters(cmd.Context(), &operationsv1.DropDeadLettersRequest{Region: *region, Ids: args})
		if err != nil {
			return explainError(err)
		}
		if err := show(cmd, r, table{header: []string{"DROPPED"}, rows: [][]string{{number(r.GetDropped())}}}); err != nil {
			return err
		}
		return allFound(r.GetDropped(), args)
	}
	return cmd
}

// allFound fails when a command reached fewer dead letters than it was given ids of.
func allFound(done uint64, ids []string) error {
	distinct := make(map[string]struct{}, len(ids))
	for _, id := range ids {
		distinct[id] = struct{}{}
	}
	if done >= uint64(len(distinct)) {
		return nil
	}
	return refused(fmt.Errorf(
		"%d of %d dead letters were found; see 'domicile dlq list' (of one stream the first 10 can be reached; the rest once these "+
			"are moved or dropped)", done, len(distinct)))
}
