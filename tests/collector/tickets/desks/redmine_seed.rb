# Run by `rails runner`: REST switched on, a project, a key, a verdict and a part on its issues, the service's user and a technician, both managers there.
require "json"

Setting.rest_api_enabled = "1"
Setting.cross_project_issue_relations = "1"
project = Project.create!(name: "Hardware", identifier: "hardware", is_public: false, trackers: Tracker.all)
fields = ["dedup_key", "verdict", "part"].map do |name|
  IssueCustomField.create!(name: name, field_format: "string", is_filter: true, is_for_all: true, trackers: Tracker.all)
end
manager = Role.find_by!(name: "Manager")
users = [["hwmon", "tillwatch", "service"], ["li.wei", "Wei", "Li"]].map do |login, first, last|
  user = User.new(firstname: first, lastname: last, mail: "#{login}@test.invalid", language: "en")
  user.login = login
  user.password = SecureRandom.hex
  user.save!
  Member.create!(project: project, principal: user, roles: [manager])
  user
end
seed = {
  service: users[0].api_key, technician: users[1].api_key, technician_id: users[1].id, admin: User.find_by!(login: "admin").api_key,
  key_field: fields[0].id, statuses: IssueStatus.all.to_h { |each| [each.name, each.id] },
}
File.write(File.join(ENV.fetch("HOME"), "seed.json"), JSON.generate(seed))
