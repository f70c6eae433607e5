# The role of cml-runner, and what is around it. The statements are read from the JSON files one directory up; what each is
# for, and what could not be tried: ../README.md.

data "aws_caller_identity" "this" {}

data "aws_partition" "this" {}

locals {
  is_launch      = var.mode == "launch"
  makes_provider = local.is_launch && var.oidc_provider_arn == ""
  provider_arn   = local.makes_provider ? one(aws_iam_openid_connect_provider.github[*].arn) : var.oidc_provider_arn
  github         = "token.actions.githubusercontent.com"

  # In another partition than AWS's commercial one, names begin with another word.
  partition = "arn:${data.aws_partition.this.partition}:"

  owner_and_name = split("/", var.repository)
  # Without the numbers it is the plain name again, and said once.
  with_ids = var.owner_id == "" ? var.repository : join("/", [
    "${local.owner_and_name[0]}@${var.owner_id}", "${local.owner_and_name[1]}@${var.repository_id}",
  ])
  trust = jsondecode(templatefile("${path.module}/../github-oidc-trust.json", {
    ACCOUNT_ID          = data.aws_caller_identity.this.account_id
    REPOSITORY          = var.repository
    REPOSITORY_WITH_IDS = local.with_ids
  })).Statement[0]
  subjects = distinct(
    length(var.subjects) > 0 ? var.subjects : local.trust.Condition.StringLike["${local.github}:sub"]
  )
  launch_trust = {
    Version = "2012-10-17"
    Statement = [merge(local.trust, {
      Principal = { Federated = local.provider_arn }
      Condition = merge(local.trust.Condition, { StringLike = { "${local.github}:sub" = local.subjects } })
    })]
  }

  # What there is no role or bucket for is allowed nowhere.
  boundary = jsondecode(templatefile("${path.module}/../permission-boundary.json", {
    JOB_ROLE_ARN = var.job_role_arn
    BUCKET       = var.reports_bucket
  }))
  not_asked_for = concat(
    var.job_role_arn == "" ? ["AtMostTheJobRole"] : [],
    var.reports_bucket == "" ? ["AtMostFilesOfReports"] : [],
  )

  policies = merge(
    { launch = file("${path.module}/../launch-policy.json") },
    local.is_launch ? {} : { daemon = file("${path.module}/../daemon-policy.json") },
    var.doctor ? {
      doctor = templatefile("${path.module}/../doctor-policy.json", { ROLE_ARN = aws_iam_role.this.arn })
    } : {},
    var.owner == "" ? {} : {
      owner = templatefile("${path.module}/../owner-policy.json", { OWNER = var.owner })
    },
    length(var.regions) == 0 ? {} : {
      regions = templatefile("${path.module}/../regions-policy.json", { REGIONS = join("\", \"", var.regions) })
    },
    var.job_role_arn == "" ? {} : {
      job-role = templatefile("${path.module}/../job-role-policy.json", { JOB_ROLE_ARN = var.job_role_arn })
    },
    var.reports_bucket == "" ? {} : {
      reports = templatefile("${path.module}/../reports-policy.json", { BUCKET = var.reports_bucket })
    },
  )
}

resource "aws_iam_openid_connect_provider" "github" {
  count = local.makes_provider ? 1 : 0

  url            = "https://${local.github}"
  client_id_list = ["sts.amazonaws.com"]
}

resource "aws_iam_policy" "boundary" {
  name        = "${var.name}-boundary"
  description = "What the role of cml-runner may never do whatever is attached to it"
  policy = replace(jsonencode(merge(local.boundary, {
    Statement = [for one in local.boundary.Statement : one if !contains(local.not_asked_for, one.Sid)]
  })), "arn:aws:", local.partition)
}

resource "aws_iam_role" "this" {
  name                 = var.name
  description          = "Launches machines for GitHub Actions (cml-runner)"
  permissions_boundary = aws_iam_policy.boundary.arn
  assume_role_policy = replace(
    local.is_launch ? jsonencode(local.launch_trust) : file("${path.module}/../daemon-trust.json"),
    "arn:aws:", local.partition,
  )

  lifecycle {
    precondition {
      condition     = (var.owner_id == "") == (var.repository_id == "")
      error_message = "owner_id and repository_id belong together: give both, or neither."
    }
  }
}

resource "aws_iam_policy" "this" {
  for_each = local.policies

  name   = "${var.name}-${each.key}"
  policy = replace(each.value, "arn:aws:", local.partition)
}

resource "aws_iam_role_policy_attachment" "this" {
  for_each = local.policies

  role       = aws_iam_role.this.name
  policy_arn = aws_iam_policy.this[each.key].arn
}

resource "aws_iam_instance_profile" "daemon" {
  count = local.is_launch ? 0 : 1

  name = var.name
  role = aws_iam_role.this.name
}

data "aws_vpc" "this" {
  count = var.security_group ? 1 : 0

  default = var.vpc_id == "" ? true : null
  id      = var.vpc_id == "" ? null : var.vpc_id
}

resource "aws_security_group" "machines" {
  count = var.security_group ? 1 : 0

  # By this name a launch finds it.
  name        = "cml-runner"
  description = "cml-runner: machines that nothing connects to"
  vpc_id      = data.aws_vpc.this[0].id
  tags        = { Name = "cml-runner" }

  egress {
    from_port        = 0
    to_port          = 0
    protocol         = "-1"
    cidr_blocks      = ["0.0.0.0/0"]
    ipv6_cidr_blocks = ["::/0"]
  }
}

resource "aws_cloudwatch_log_group" "this" {
  count = var.log_group ? 1 : 0

  name              = "/cml-runner"
  retention_in_days = 30
}
