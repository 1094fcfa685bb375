"""checkov.py CHECKOV FOLDER: checkov over FOLDER/templates, held against the exemptions that stand in the templates.

Each exemption stands in the code beside the resource, with its reason, and so in the template's metadata. They are taken out here before
checkov looks: then its failures must be the exemptions, all of them and no others, so that one which is no longer needed is found too.
"""

import json
import pathlib
import subprocess
import sys


def main():
    checkov, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    bare = folder / "bare"
    bare.mkdir()
    exempt = {}
    for file in sorted((folder / "templates").glob("*.template.json")):
        template = json.loads(file.read_text())
        for name, resource in template["Resources"].items():
            for skip in resource.get("Metadata", {}).pop("checkov", {}).get("skip", []):
                exempt[skip["id"], file.name, resource["Type"] + "." + name] = skip["comment"]
        (bare / file.name).write_text(json.dumps(template))
    run = subprocess.run(
        [checkov, "-d", str(bare), "--framework", "cloudformation", "--compact", "--quiet", "--skip-download", "--output", "json"],
        capture_output=True, text=True, check=False,
    )
    (folder / "checkov.json").write_text(run.stdout)
    reports = json.loads(run.stdout)
    reports = reports if isinstance(reports, list) else [reports]
    failed, passed, resources = {}, 0, 0
    for report in reports:
        if report["summary"]["parsing_errors"]:
            sys.exit("checkov could not read a template: " + str(report["results"].get("parsing_errors")))
        passed, resources = passed + report["summary"]["passed"], resources + report["summary"]["resource_count"]
        for check in report["results"]["failed_checks"]:
            failed[check["check_id"], pathlib.Path(check["file_path"]).name, check["resource"]] = check["check_name"]
    for key in sorted(failed.keys() - exempt.keys()):
        print("checkov:", *key, failed[key])
    for key in sorted(exempt.keys() - failed.keys()):
        print("checkov:", *key, "the exemption is not needed:", exempt[key])
    if failed.keys() != exempt.keys() or not resources:
        sys.exit(1)
    print(f"checkov: clean, {resources} resources, {passed} checks passed, exempt:")
    for rule, reason in sorted({(key[0], reason) for key, reason in exempt.items()}):
        count = sum(1 for key, text in exempt.items() if key[0] == rule and text == reason)
        print(f"  {rule} on {count}: {reason}")


main()
