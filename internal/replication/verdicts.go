package replication

import "github.com/domicile-api/domicile/internal/queue"

// Unfinished returns the indexes of the messages that are to be left in a queue whose groups keep their order, by the verdicts that Apply gave of
// them: those that are not Done, and all later ones of their groups. To apply one of these again does no harm.
func Unfinished(messages []queue.Message, verdicts []Verdict) []int {
	var left []int
	stopped := make(map[string]bool)
	for i, m := range messages {
		if verdicts[i].Outcome == Done && !stopped[m.Group] {
			continue
		}
		stopped[m.Group] = true
		left = append(left, i)
	}
	return left
}
