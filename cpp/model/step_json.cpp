#include "model/step_json.h"

#include <algorithm>
#include <utility>

#include "core/error.h"
#include "optim/rules.h"
#include "train/stages.h"

namespace ravine {
namespace {

using train::Description;
using train::Number;
using train::Plateau;
using train::SchedulePtr;

using Followers = std::vector<TrainedModel::Follower>;

// ---- schedules

Json schedule_to_json(const SchedulePtr& schedule, const Followers& followers) {
  for (std::size_t i = 0; i < followers.size(); ++i)
    if (followers[i].plateau == schedule) return Json::object({{"follower", i}});
  const std::optional<train::FormulaOf> formula = schedule->formula();
  check<ValueError>(formula.has_value(), "export: ", schedule->describe(),
                    " is a function of the host, which no file can hold; use the schedules of the library");
  Json numbers = Json::array(), children = Json::array();
  for (const double number : formula->numbers) numbers.push_back(real_to_json(number));
  for (const SchedulePtr& child : formula->children) children.push_back(schedule_to_json(child, followers));
  return Json::object({{"formula", formula->name},
                       {"numbers", numbers},
                       {"children", children},
                       {"text", schedule->describe()}});
}

SchedulePtr schedule_from_json(const Json& json, const Followers& followers) {
  if (json.is_object() && json.contains("follower"))
    return followers[json_index(json["follower"], followers.size(), "a schedule that follows a metric")]
        .plateau;
  std::vector<double> numbers;
  for (const Json& number : json_list(json_field(json, "numbers"), "the numbers of a schedule"))
    numbers.push_back(json_real(number, "a number of a schedule"));
  std::vector<SchedulePtr> children;
  for (const Json& child : json_list(json_field(json, "children"), "the parts of a schedule"))
    children.push_back(schedule_from_json(child, followers));
  return train::make_schedule(json_text(json_field(json, "formula"), "the formula of a schedule"),
                              std::move(numbers), std::move(children),
                              json_text(json_field(json, "text"), "the text of a schedule"));
}

Json optional_to_json(const SchedulePtr& schedule, const Followers& followers) {
  return schedule == nullptr ? Json(nullptr) : schedule_to_json(schedule, followers);
}

SchedulePtr optional_from_json(const Json& json, const Followers& followers) {
  return json.is_null() ? nullptr : schedule_from_json(json, followers);
}

Json number_to_json(const Number& number, const Followers& followers) {
  return number.schedule == nullptr ? real_to_json(number.constant)
                                    : schedule_to_json(number.schedule, followers);
}

Number number_from_json(const Json& json, const Followers& followers) {
  if (json.is_object()) return schedule_from_json(json, followers);
  return json_real(json, "a number of an optimizer");
}

// A follower stands behind those that it reduces itself.
Json follower_to_json(const TrainedModel::Follower& follower, const Followers& before) {
  const Plateau::Settings& own = follower.plateau->settings();
  return Json::object({{"key", follower.key},
                       {"schedule", schedule_to_json(follower.plateau->schedule(), before)},
                       {"maximize", own.maximize},
                       {"factor", real_to_json(own.factor)},
                       {"patience", own.patience},
                       {"threshold", real_to_json(own.threshold)},
                       {"relative", own.relative},
                       {"cooldown", own.cooldown},
                       {"min_value", real_to_json(own.min_value)}});
}

TrainedModel::Follower follower_from_json(const Json& json, const Followers& before) {
  const Plateau::Settings settings{.maximize = json_flag(json_field(json, "maximize"), "maximize"),
                                   .factor = json_real(json_field(json, "factor"), "factor"),
                                   .patience = json_whole(json_field(json, "patience"), "patience"),
                                   .threshold = json_real(json_field(json, "threshold"), "threshold"),
                                   .relative = json_flag(json_field(json, "relative"), "relative"),
                                   .cooldown = json_whole(json_field(json, "cooldown"), "cooldown"),
                                   .min_value = json_real(json_field(json, "min_value"), "min_value")};
  return {json_text(json_field(json, "key"), "the key of a schedule"),
          std::make_shared<Plateau>(schedule_from_json(json_field(json, "schedule"), before), settings)};
}

// ---- the optimizer

Json group_to_json(const Description::Group& group, const TrainedModel::Group& named,
                   const Followers& followers) {
  Json hyper = Json::array();
  for (const train::HyperNumber& own : group.hyper)
    hyper.push_back(Json::array({own.name, own.label, number_to_json(own.number, followers)}));
  return Json::object({{"name", named.name}, {"own", named.own}, {"hyper", hyper}, {"decays", group.decays}});
}

void add_group(TrainedModel& trained, const Json& json) {
  TrainedModel::Group named{json_text(json_field(json, "name"), "the name of a group"), {}};
  for (const Json& own : json_list(json_field(json, "own"), "the numbers of a group"))
    named.own.push_back(json_text(own, "a number of a group"));
  Description::Group group;
  group.decays = json_flag(json_field(json, "decays"), "decays");
  const std::span<const optim::Hyperparameter> known = optim::rule_named(trained.description.rule).hyper;
  for (const Json& own : json_list(json_field(json, "hyper"), "the numbers of an optimizer")) {
    json_list(own, "a number of an optimizer", 3);
    const std::string name = json_text(own[0], "the name of a number");
    check<ValueError>(std::ranges::any_of(known, [&](const auto& hyper) { return hyper.name == name; }),
                      "the rule '", trained.description.rule, "' has no number '", name, "'");
    group.hyper.push_back(
        {name, json_text(own[1], "the label of a number"), number_from_json(own[2], trained.followers)});
  }
  trained.groups.push_back(std::move(named));
  trained.description.groups.push_back(std::move(group));
}

Json stage_to_json(const train::Stage& stage, const Followers& followers) {
  Json numbers = Json::array();
  for (const Number& number : stage.numbers) numbers.push_back(number_to_json(number, followers));
  return Json::array({stage.kind->name, stage.label, numbers});
}

train::Stage stage_from_json(const Json& json, const Followers& followers) {
  json_list(json, "a stage", 3);
  const train::StageKind& kind = train::stage_named(json_text(json[0], "the name of a stage"));
  train::Stage stage{&kind, {}, json_text(json[1], "the label of a stage")};
  for (const Json& number : json_list(json[2], "the numbers of a stage", kind.numbers.size()))
    stage.numbers.push_back(number_from_json(number, followers));
  return stage;
}

}  // namespace

Json trained_to_json(const TrainedModel& trained, SharedByGraphs& shared) {
  const Description& description = trained.description;
  Json followers = Json::array(), groups = Json::array(), stages = Json::array(), parameters = Json::array();
  Followers before;
  for (const TrainedModel::Follower& follower : trained.followers) {
    followers.push_back(follower_to_json(follower, before));
    before.push_back(follower);
  }
  for (std::size_t i = 0; i < description.groups.size(); ++i)
    groups.push_back(group_to_json(description.groups[i], trained.groups[i], before));
  for (const train::Stage& stage : description.stages) stages.push_back(stage_to_json(stage, before));
  for (const TrainedModel::Parameter& own : trained.parameters)
    parameters.push_back(Json::array({own.name, own.state, own.group, own.moves}));
  return Json::object(
      {{"name", trained.name},
       {"owner", description.owner},
       {"rule", description.rule},
       {"followers", followers},
       {"groups", groups},
       {"stages", stages},
       {"average", optional_to_json(description.average, before)},
       {"slow", optional_to_json(description.slow, before)},
       {"parameters", parameters},
       {"constraints", trained.constraints ? graph_to_json(*trained.constraints, shared) : Json(nullptr)}});
}

TrainedModel trained_from_json(const Json& json, const SharedByGraphs& shared) {
  TrainedModel trained;
  trained.name = json_text(json_field(json, "name"), "the name of a model");
  Description& description = trained.description;
  description.owner = json_text(json_field(json, "owner"), "the name of an optimizer");
  description.rule = json_text(json_field(json, "rule"), "a rule");
  optim::rule_named(description.rule);
  for (const Json& follower : json_list(json_field(json, "followers"), "followers"))
    trained.followers.push_back(follower_from_json(follower, trained.followers));
  for (const Json& group : json_list(json_field(json, "groups"), "groups")) add_group(trained, group);
  check<ValueError>(!trained.groups.empty(), "groups: that of the other parameters is missing");
  for (const Json& stage : json_list(json_field(json, "stages"), "stages"))
    description.stages.push_back(stage_from_json(stage, trained.followers));
  description.average = optional_from_json(json_field(json, "average"), trained.followers);
  description.slow = optional_from_json(json_field(json, "slow"), trained.followers);
  for (const Json& own : json_list(json_field(json, "parameters"), "parameters")) {
    json_list(own, "a parameter", 4);
    trained.parameters.push_back({json_text(own[0], "the name of a parameter"),
                                  json_index(own[1], shared.n_states, "the state of a parameter"),
                                  json_index(own[2], trained.groups.size(), "the group of a parameter"),
                                  json_flag(own[3], "whether a parameter moves")});
  }
  if (const Json& constraints = json_field(json, "constraints"); !constraints.is_null())
    trained.constraints = graph_from_json(constraints, shared);
  return trained;
}

}  // namespace ravine
