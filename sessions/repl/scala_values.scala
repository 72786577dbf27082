// Any Scala value as JSON, and as the typed cells of a table. Compiled together with scala_bridge.scala.
package scala.tools.nsc.interpreter

import com.fasterxml.jackson.databind.ObjectMapper
import java.util.{ArrayList, LinkedHashMap}
import org.apache.spark.rdd.RDD
import org.apache.spark.sql.{Dataset, Row}
import org.apache.spark.sql.catalyst.CatalystTypeConverters
import org.apache.spark.sql.types.{SQLUserDefinedType, UDTRegistration, UserDefinedType}
import scala.collection.JavaConverters._

object GatewayValues {
  private val mapper = new ObjectMapper
  private val rows = 1000 // of a Dataset, as many as SQL results have
  private val elements = 10 // of an RDD, as in Livy
  private val longest = 1000000 // elements of any other collection: some never end
  private val deepest = 100

  def json(value: Any): String = mapper.writeValueAsString(plain(value, 0))

  /** {"names": [...], "rows": [{name: [type, value]}]}, names in the order in which they are met. */
  def table(value: Any): String = {
    val (head, found) = value match {
      case frame: Dataset[_] => (frame.columns.toSeq, collected(frame).map(pairs))
      case rdd: RDD[_] => (Nil, rdd.take(elements).toSeq.map(pairs))
      case Elements(values) => (Nil, values.map(pairs))
      case single => (Nil, Seq(pairs(single)))
    }
    val names = (head ++ found.flatMap(_.map(_._1))).distinct
    val cells = found.map(row => objectOf(row.map { case (name, item) => (name, cell(item)) }))
    mapper.writeValueAsString(objectOf(Seq("names" -> listOf(names), "rows" -> listOf(cells))))
  }

  private def cell(value: Any): ArrayList[Any] = kind(value) match {
    case "DECIMAL_TYPE" => listOf(Seq("DECIMAL_TYPE", text(value)))
    case other => listOf(Seq(other, plain(value, 0)))
  }

  private def text(value: Any): String = value match {
    case Some(inner) => text(inner)
    case other => String.valueOf(other)
  }

  private def collected(frame: Dataset[_]): Seq[Row] = frame.toDF().limit(rows).collect().toSeq

  /** The cells of a row by their names; the only one of a plain value is called 0. */
  private def pairs(row: Any): Seq[(String, Any)] = row match {
    case Fields(named) => named
    case Elements(values) => values.zipWithIndex.map { case (item, index) => (index.toString, item) }
    case single => Seq(("0", single))
  }

  private def plain(value: Any, depth: Int): Any = {
    require(depth < deepest, "the value is nested too deeply, or contains itself")
    value match {
      case null | None | () => null
      case Some(inner) => plain(inner, depth + 1)
      case number: Double if number.isNaN || number.isInfinite => null
      case number: Float => if (number.isNaN || number.isInfinite) null else number.toString.toDouble
      case number: BigDecimal => number.bigDecimal
      case number: BigInt => number.bigInteger
      case same @ (_: java.lang.Boolean | _: java.lang.Number | _: String) => same
      case Stored(inner) => plain(inner, depth + 1)
      case frame: Dataset[_] => listOf(collected(frame).map(plain(_, depth + 1)))
      case rdd: RDD[_] => listOf(rdd.take(elements).toSeq.map(plain(_, depth + 1)))
      case Fields(named) => objectOf(named.map { case (name, item) => (name, plain(item, depth + 1)) })
      case Elements(values) => listOf(values.map(plain(_, depth + 1)))
      case other => other.toString
    }
  }

  private def kind(value: Any): String = value match {
    case null | None | () => "NULL_TYPE"
    case Some(inner) => kind(inner)
    case _: Boolean => "BOOLEAN_TYPE"
    case _: Byte | _: Short | _: Int | _: Long | _: BigInt | _: java.math.BigInteger => "BIGINT_TYPE"
    case _: Float | _: Double => "DOUBLE_TYPE"
    case _: BigDecimal | _: java.math.BigDecimal => "DECIMAL_TYPE"
    case _: java.sql.Date | _: java.time.LocalDate => "DATE_TYPE"
    case _: java.util.Date | _: java.time.Instant | _: java.time.LocalDateTime => "TIMESTAMP_TYPE"
    case Stored(inner) => kind(inner)
    case Fields(_) => "MAP_TYPE"
    case Elements(_) => "ARRAY_TYPE"
    case _ => "STRING_TYPE"
  }

  /** What Spark stores of a value of a user-defined type, a vector of its ML library say. */
  private object Stored {
    def unapply(value: Any): Option[Any] = typeOf(value.getClass).map { found =>
      val kind = found.getDeclaredConstructor().newInstance().asInstanceOf[UserDefinedType[Any]]
      CatalystTypeConverters.convertToScala(kind.serialize(value), kind.sqlType)
    }

    private def typeOf(of: Class[_]): Option[Class[_]] =
      Option(of.getAnnotation(classOf[SQLUserDefinedType])).map(_.udt: Class[_])
        .orElse(UDTRegistration.getUDTFor(of.getName))
  }

  /** What has named parts: maps, rows, case classes and tuples. */
  private object Fields {
    def unapply(value: Any): Option[Seq[(String, Any)]] = value match {
      case row: Row if row.schema != null => Some(row.schema.fieldNames.toSeq.zip(row.toSeq))
      case map: scala.collection.Map[_, _] => Some(map.toSeq.map { case (key, item) => (String.valueOf(key), item) })
      case map: java.util.Map[_, _] => unapply(map.asScala)
      case _: Row | _: scala.collection.Iterable[_] => None
      case product: Product if product.productArity > 0 => Some(names(product).zip(product.productIterator.toSeq))
      case _ => None
    }
  }

  private def names(product: Product): Seq[String] = {
    val fields = product.getClass.getDeclaredFields.toSeq
      .filterNot(field => field.isSynthetic || java.lang.reflect.Modifier.isStatic(field.getModifiers))
      .map(field => scala.reflect.NameTransformer.decode(field.getName)).filterNot(_.startsWith("$"))
    val positions = (1 to product.productArity).map(position => s"_$position")
    if (product.getClass.getName.startsWith("scala.") || fields.length < product.productArity) positions else fields
  }

  private object Elements {
    def unapply(value: Any): Option[Seq[Any]] = value match {
      case values: scala.collection.Iterable[_] => Some(bounded(values.iterator))
      case values: java.lang.Iterable[_] => Some(bounded(values.iterator.asScala))
      case values: Array[_] => Some(values.toSeq)
      case row: Row => Some(row.toSeq)
      case _ => None
    }
  }

  private def bounded(values: Iterator[Any]): Seq[Any] = {
    val found = values.take(longest + 1).toVector
    require(found.length <= longest, s"the value has more than $longest elements; take some of them")
    found
  }

  private def listOf(values: Seq[Any]): ArrayList[Any] = new ArrayList(values.asJava)

  private def objectOf(pairs: Seq[(String, Any)]): LinkedHashMap[String, Any] = {
    val made = new LinkedHashMap[String, Any]
    pairs.foreach { case (name, value) => made.put(name, value) }
    made
  }
}
