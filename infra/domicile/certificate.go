package domicile

import (
	"errors"
	"slices"

	"github.com/aws/aws-cdk-go/awscdk/v2/awscertificatemanager"
	"github.com/aws/jsii-runtime-go"
)

var errNoDomain = errors.New("a deployment without a domain has no certificates, and so neither an API nor a load balancer")

// zoneOf returns the id of the zone that a region's names lie in.
func (d *Deployment) zoneOf(r Region) string {
	if zone := d.cfg.Domain.Zones[r.ID]; zone != "" {
		return zone
	}
	return d.cfg.Domain.Zone
}

// newCertificate makes the certificate for all names that the region answers to. It lies in this stack and not beside the records: nothing
// here can be made without it. Where regions have accounts of their own, the global names' zone is in another account, and the
// records that prove them are the operator's to add; the stack waits for them.
func (s *ComputeStack) newCertificate() awscertificatemanager.CfnCertificate {
	d, r := s.d, s.Region
	validations := []any{}
	validate := func(name, zone string) {
		validations = append(validations, map[string]any{"domainName": name, "hostedZoneId": zone})
	}
	regional := []string{d.RegionName(r), d.GRPCName(r), d.ServicesName(r), d.OperationsName(r)}
	for _, name := range regional {
		validate(name, d.zoneOf(r))
	}
	global := []string{d.cfg.Domain.Name, d.GlobalGRPCName()}
	if !d.ManyAccounts() {
		for _, name := range global {
			validate(name, d.cfg.Domain.Zone)
		}
	}
	return awscertificatemanager.NewCfnCertificate(s.Stack, jsii.String("Certificate"), &awscertificatemanager.CfnCertificateProps{
		DomainName:              jsii.String(d.RegionName(r)),
		SubjectAlternativeNames: texts(slices.Concat(regional[1:], global)...),
		ValidationMethod:        jsii.String("DNS"),
		DomainValidationOptions: validations,
	})
}
