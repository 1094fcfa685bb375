package domicile

import (
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/domicile-api/domicile/infra/access"
)

// The names of what a deployment has. Adapters find everything by these, so they are part of the contract between code and
// infrastructure and do not change.

func (d *Deployment) name(what string) string { return d.cfg.Name + "-" + what }

// arn is the ARN of something of a region.
func arn(r Region, service, resource string) string {
	return "arn:aws:" + service + ":" + r.ID + ":" + r.Account + ":" + resource
}

func (d *Deployment) tableARN(r Region, table string) string {
	return arn(r, "dynamodb", "table/"+d.name(table))
}

// Queue names, of which the dead letters of each add "-dead".
const (
	events = "events"
	sealed = "sealed"
)

func (d *Deployment) queueName(queue string) string { return d.name(queue) + ".fifo" }

func (d *Deployment) queueARN(r Region, queue string) string {
	return arn(r, "sqs", d.queueName(queue))
}

func (d *Deployment) tenantsAlias() string { return "alias/" + d.name("tenants") }

func (d *Deployment) storageAlias() string { return "alias/" + d.name("storage") }

func (d *Deployment) bucketName(r Region) string {
	return d.name("snapshots-" + r.Account + "-" + r.ID)
}

// snapshotObject is the object of the bucket that has the directory's snapshot.
const snapshotObject = "directory.snapshot"

func (d *Deployment) secretName(secret string) string { return d.cfg.Name + "/" + secret }

func (d *Deployment) topologyParameterName() string { return "/" + d.cfg.Name + "/topology" }

// roleName is the name of a process's role. IAM is one for all regions of an account, so the region stands in it.
func (d *Deployment) roleName(r Region, p access.Process) string {
	return d.name(r.ID + "-" + string(p))
}

func (d *Deployment) roleARN(r Region, p access.Process) string {
	return "arn:aws:iam::" + r.Account + ":role/" + d.roleName(r, p)
}

// roleARNs returns the roles of the processes that may do something to a store, in some regions.
func (d *Deployment) roleARNs(regions []Region, s access.Store, u access.Use) []string {
	processes := access.Who(s, u)
	all := make([]string, 0, len(regions)*len(processes))
	for _, r := range regions {
		for _, p := range processes {
			all = append(all, d.roleARN(r, p))
		}
	}
	return all
}

// logGroup is the name of a process's log group.
func (d *Deployment) logGroup(p access.Process) string {
	switch p {
	case access.EdgeTask, access.Services:
		return "/" + d.cfg.Name + "/" + string(p)
	default:
		return "/aws/lambda/" + d.name(string(p))
	}
}

func via(r Region, service string) string { return service + "." + r.ID + ".amazonaws.com" }

// writerPartitions are what the partitions of a writer of the directory begin with, as internal/directory has them: records, states,
// published snapshots.
func writerPartitions() []string { return []string{"w/", "s/", "n/"} }

// OwnPartitions returns the partition keys that a region may write to. They are binary, and AWS does not say how a binary key stands in
// dynamodb:LeadingKeys: as its text, or as base64 of its bytes. Both are here. Neither form of one region's key is a form of another's.
func (d *Deployment) OwnPartitions(r Region) []string {
	if d.cfg.AnyWriter {
		return nil
	}
	prefixes := writerPartitions()
	all := make([]string, 0, 2*len(prefixes))
	for _, prefix := range prefixes {
		all = append(all, prefix+r.ID, base64.StdEncoding.EncodeToString([]byte(prefix+r.ID)))
	}
	return all
}

// Names that callers and regions use.

// RegionName is where clients reach a region: unary REST and Connect.
func (d *Deployment) RegionName(r Region) string { return r.ID + "." + d.cfg.Domain.Name }

// GRPCName is where clients reach a region with gRPC and streams.
func (d *Deployment) GRPCName(r Region) string { return "grpc." + d.RegionName(r) }

// ServicesName is where edges and peers reach a region's services.
func (d *Deployment) ServicesName(r Region) string { return "services." + d.RegionName(r) }

// OperationsName is where operators reach a region, from their networks alone.
func (d *Deployment) OperationsName(r Region) string { return "operations." + d.RegionName(r) }

// entryName is what the global name points to in a region.
func (d *Deployment) entryName(r Region) string { return "entry." + d.RegionName(r) }

// GlobalGRPCName is the global name for gRPC and streams.
func (d *Deployment) GlobalGRPCName() string { return "grpc." + d.cfg.Domain.Name }

// image returns the container image for a region.
func (d *Deployment) image(r Region) string { return strings.ReplaceAll(d.cfg.Image, "{region}", r.ID) }

// imageARNs returns the ARN of the image's repository, if it lies in Amazon's registry; otherwise none.
func (d *Deployment) imageARNs(r Region) []string {
	host, path, _ := strings.Cut(d.image(r), "/")
	parts := strings.Split(host, ".")
	if len(parts) != 6 || parts[1] != "dkr" || parts[2] != "ecr" {
		return nil
	}
	repository, _, _ := strings.Cut(path, "@")
	repository, _, _ = strings.Cut(repository, ":")
	return []string{fmt.Sprintf("arn:aws:ecr:%s:%s:repository/%s", parts[3], parts[0], repository)}
}
